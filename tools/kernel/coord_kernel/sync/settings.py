"""Which remote a store syncs with. Nothing is pushed unless one is configured."""

from __future__ import annotations

import os

from coord_envelope import codec
from coord_envelope.errors import BadData, Unreachable
from coord_kernel.store import locate
from coord_kernel.store.config import CONFIG
from coord_kernel.sync.git import Git, run
from coord_kernel.sync.remote import NAMESPACE, Remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store

_CONFIG = (
    r"^remote\..*\.(push)?url$"
    r"|^(credential|http|https|ssh|url|protocol)\."
    r"|^core\.(sshcommand|askpass|gitproxy)$"
)
"""What is read of the user's repository: its remotes and how to reach them."""


def required(store: Store, asked: str | None) -> str:
    """The remote that was asked for, else the configured one. Raises Unreachable: there is none."""
    name = asked or locate.remote(store)
    if not name:
        raise Unreachable(
            "no remote is configured",
            todo="`ev sync --remote NAME`, or [sync] remote in coord.toml",
        )
    return name


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


def remember(store: Store, remote: str) -> None:
    """Sync with this remote from now on."""
    if locate.remote(store) != remote:
        store.save(f"{remote}\n".encode("utf-8", "surrogateescape"), "local", "remote")


def remote(store: Store, asked: str) -> Remote:
    """The remote of this name in the user's repository, or at this path or URL.

    Raises Unreachable if there is none, and BadData if coord.toml is wrong.
    """
    _, common = locate.place(os.getcwd())
    remote = _of_repository(asked, common) if common else None
    if remote is None:
        # A path is relative to the caller's directory, or to that of coord.toml.
        paths = (os.path.join(base, asked) for base in (os.getcwd(), os.path.dirname(store.path)))
        path = next((os.path.normpath(path) for path in paths if os.path.isdir(path)), None)
        if path is None and ":" not in asked:
            raise Unreachable(
                f"no such remote: {asked!r}",
                todo="see `git remote -v`, or give a path or URL",
            )
        url = path or asked
        remote = Remote(url, url, url, ())
    section = locate.section(store, "sync")
    remote.namespace = _ref(section, "namespace", NAMESPACE)
    remote.own = _ref(section, "push", "")
    patterns = section.get("fetch", [])
    if not isinstance(patterns, list) or not all(isinstance(ref, str) for ref in patterns):
        raise BadData("[sync] fetch is not a list of refs", where=CONFIG, todo="correct the file")
    remote.fetch = tuple(patterns)
    return remote


def _of_repository(asked: str, common: str) -> Remote | None:
    git = (*Git.PROGRAM, f"--git-dir={common}")
    _, out, _ = run(
        [*git, "config", "--local", "--includes", "-z", "--get-regexp", _CONFIG], seconds=10
    )
    entries = filter(None, out.decode("utf-8", "surrogateescape").split("\0"))
    pairs = [entry.partition("\n")[::2] for entry in entries]
    urls = [value for key, value in pairs if key == f"remote.{asked}.url"]
    pushed = [value for key, value in pairs if key == f"remote.{asked}.pushurl"] or urls
    if not urls:
        return None
    others = [(key, value) for key, value in pairs if not key.startswith("remote.")]
    return Remote(asked, _absolute(urls[0], common), _absolute(pushed[0], common), others)


def _absolute(url: str, common: str) -> str:
    """The URL, where a path is relative to the repository. git itself reads other URLs."""
    local = "://" not in url and ":" not in url.partition("/")[0]
    root = os.path.dirname(common) if os.path.basename(common) == ".git" else common
    return os.path.normpath(os.path.join(root, url)) if local else url


def _ref(section: dict[str, object], key: str, default: str) -> str:
    ref = section.get(key, default)
    if not isinstance(ref, str) or (ref and not ref.startswith("refs/")):
        raise BadData(f"[sync] {key} is not a ref (refs/…)", where=CONFIG, todo="correct the file")
    return ref.rstrip("/")
