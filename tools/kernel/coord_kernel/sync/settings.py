"""Which remote a store syncs with. Nothing is pushed unless one is configured and agreed to."""

from __future__ import annotations

import os

from coord_envelope import codec
from coord_envelope.errors import BadData, Refused, Unreachable
from coord_kernel.store import consent, locate
from coord_kernel.store.config import CONFIG
from coord_kernel.sync import transport
from coord_kernel.sync.places import Configuration
from coord_kernel.sync.remote import NAMESPACE

LIVE = {
    "nats": "nats",
    "tls": "nats",
    "redis": "redis",
    "rediss": "redis",
    "ws": "relay",
    "wss": "relay",
}
"""The schemes of the engines that come with coord, and the extra of each."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.remote import Remote


def last(store: Store) -> Json:
    """The last sync: `remote`, `ts` (None: none), `end` and count of `files` here, `refs` there."""
    nothing: Json = {"remote": None, "ts": None, "end": {}, "files": 0, "refs": {}}
    try:
        saved = codec.loads(store.load("local", "synced") or b"{}")
    except ValueError:
        return nothing
    sound = isinstance(saved, dict) and all(
        isinstance(saved.get(name), dict) for name in ("end", "refs")
    )
    return nothing | saved if sound else nothing


def remember(store: Store, remote: Remote) -> None:
    """The user has named this remote, and it was reached: sync with it from now on.

    It takes the place of another git remote; live remotes stay.
    """
    stay = [name for name in consent.chosen(store) if is_live(name)]
    consent.choose(store, remote.name, _places(remote), stay)


def remember_live(store: Store, url: str) -> None:
    """The same, for a live remote: all others stay."""
    consent.choose(store, url, url, locate.remotes(store))


def is_live(name: str) -> bool:
    """Is it the URL of a live remote? (Whether the engine of a usual one is installed is open.)"""
    scheme = transport.scheme(name)
    if not transport.live(name):
        return False
    if scheme in LIVE:
        return True
    from importlib.metadata import entry_points  # 30 ms: only for a scheme that nobody knows

    return bool(entry_points(group="coord.remotes", name=scheme))


def git_remote(store: Store) -> str | None:
    """The configured git remote."""
    return next((name for name in locate.remotes(store) if not is_live(name)), None)


def remote(store: Store, asked: str | None = None) -> Remote:
    """The remote that the user asks for now, or else the configured one.

    It is a remote of the store's repository, or a path or URL. Raises Unreachable if there is none,
    Refused if the user has not agreed to it, and BadData if coord.toml is wrong.
    """
    if kept := _kept.pop((store.path, asked), None):
        return kept
    remote = named(store, asked)
    remote.namespace, remote.own, fetch = refs(store)
    remote.fetch = tuple(fetch.split())
    transport.check(remote.url)
    transport.check(remote.push_url)
    if not asked:
        check_agreed(store, remote.name, remote.url, _places(remote))
    for key, value in outside(store).items():
        if consent.agreed(store, key) != value:
            raise Refused(
                f"not trusted: {value}, of coord.toml", where=key, todo="agree with `ev trust`"
            )
    return remote


_kept: dict[tuple[str, str | None], Remote] = {}


def keep(store: Store, asked: str | None, remote: Remote) -> None:
    """What `remote` has just returned, for the sync that follows: it need not be read again."""
    _kept[store.path, asked] = remote


def named(store: Store, asked: str | None = None) -> Remote:
    """The remote of that name, or the configured one, agreed to or not. Raises Unreachable."""
    name = asked or git_remote(store)
    if not name:
        raise Unreachable(
            "no remote is configured",
            todo="`ev sync --remote NAME`, or [sync] remote in coord.toml",
        )
    configuration = Configuration(store)
    if remote := configuration.remote(name):
        return remote
    # A path is relative to where it was written: the caller's directory, or that of coord.toml.
    base = os.getcwd() if asked else locate.root(store.path)
    path = os.path.normpath(os.path.join(base, name))
    if not os.path.isdir(path) and ":" not in name:
        raise Unreachable(
            f"no such remote: {name!r}", todo="see `git remote -v`, or give a path or URL"
        )
    return configuration.at(path if os.path.isdir(path) else name)


def refs(store: Store) -> tuple[str, str, str]:
    """The namespace, this store's own ref and more refs to read, of coord.toml."""
    section = locate.section(store, "sync")
    patterns = section.get("fetch", [])
    if not isinstance(patterns, list) or not all(isinstance(ref, str) for ref in patterns):
        raise BadData("[sync] fetch is not a list of refs", where=CONFIG, todo="correct the file")
    fetch = " ".join(_ref("fetch", ref) for ref in patterns)
    own = _ref("push", section["push"]) if section.get("push") else ""
    return _ref("namespace", section.get("namespace", NAMESPACE)), own, fetch


def outside(store: Store) -> dict[str, str]:
    """The settings of coord.toml that name refs outside refs/coord/, as `consent` has them."""
    keys = ("namespace", "push", "fetch")
    settings = zip(keys, refs(store), strict=True)
    return {
        f"[sync] {key}": value
        for key, value in settings
        if not all(f"{ref}/".startswith(f"{NAMESPACE}/") for ref in value.split())
    }


def agree(store: Store, save: bool = True) -> list[Json]:
    """The user agrees to the configured remotes and refs: each of them, with its value."""
    values, public_values = outside(store), outside(store)
    for name in reversed(locate.remotes(store)):
        places = name
        if not is_live(name):
            remote = named(store)
            transport.check(remote.url)
            name, places = remote.name, _places(remote)
        key = f"remote {name}"
        values = {key: places, **values}
        public_values[key] = public(places)
    rows: list[Json] = [
        {
            "setting": public(key),
            "value": public_values[key],
            "trusted": consent.agreed(store, key) == value,
        }
        for key, value in values.items()
    ]
    if names_signers(store):
        from coord_kernel.sync.signed import agreed  # only with signers

        rows += [
            {"setting": agreed.SETTING, "value": value, "trusted": trusted}
            for value, trusted in agreed.rows(store)
        ]
        if save:
            agreed.agree(store)
    if save:
        consent.agree(store, values)
        rows = [row | {"trusted": True} for row in rows]
    return rows


def names_signers(store: Store) -> bool:
    """Does coord.toml name an allowed_signers file, or did the user agree to one?"""
    return store.signers() or "allowed_signers" in locate.section(store, "sync")


def check_agreed(store: Store, name: str, url: str, places: str) -> None:
    """Raises Refused, unless the user has agreed to this remote at these places."""
    key = f"remote {name}"
    before = consent.agreed(store, key)
    if before is None and consent.older(store) and consent.chosen(store):
        consent.agree(store, {key: places})
    elif before is None:
        shown = "" if url == name else f" ({public(url)})"
        raise Refused(
            f"not trusted{shown}, nothing was sent",
            where=public(name),
            todo=f"agree with `ev sync --remote {public(name)}` or `ev trust`",
        )
    elif before != places:
        raise Refused(
            f"its URL changed from {public(before)} to {public(places)}, nothing was sent",
            where=name,
            todo=f"confirm with `ev sync --remote {name}`",
        )


def _places(remote: Remote) -> str:
    """Where its refs are read and written."""
    return " ".join(dict.fromkeys((remote.url, remote.push_url)))


def public(url: str) -> str:
    """A URL without the password in it."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, at, host = host.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{host}{slash}{path}"


def _ref(key: str, ref: object) -> str:
    """A ref, or with `fetch` a pattern of refs, as git allows it."""
    banned = ("..", *" ~^:\\", *("" if key == "fetch" else "*?["))
    sound = isinstance(ref, str) and ref.startswith("refs/") and ref.isprintable()
    if sound and not any(part in str(ref) for part in banned):
        return str(ref).rstrip("/")
    raise BadData(f"[sync] {key} is not a ref (refs/…)", where=CONFIG, todo="correct the file")
