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

_CONFIG = r"^remote\..*\.(push)?url$|^(credential|http|https|ssh|url|protocol)\.|^core\.(sshcommand|askpass|gitproxy)$"
"""Of the user's repository: the remotes and how to reach them, and nothing else."""


def required(store: Store, asked: str | None) -> str:
    """The remote that was asked for, else the configured one. Raises Unreachable if there is none."""
    found = asked or locate.remote(store)
    if not found:
        raise Unreachable(
            "no remote is configured",
            todo="`ev sync --remote NAME`, or [sync] remote in coord.toml",
        )
    return found


def last(store: Store) -> Json:
    """What the last sync left: `remote`, `ts` (None: there was none), `end` and count of `files` here, `refs` there."""
    nothing: Json = {"remote": None, "ts": None, "end": {}, "files": 0, "refs": {}}
    try:
        found = codec.loads(store.load("local", "synced") or b"{}")
    except ValueError:
        return nothing
    sound = isinstance(found, dict) and all(
        isinstance(found.get(name), dict) for name in ("end", "refs")
    )
    return nothing | found if sound else nothing


def remember(store: Store, remote: str) -> None:
    """Sync with it from here on."""
    if locate.remote(store) != remote:
        store.save(f"{remote}\n".encode("utf-8", "surrogateescape"), "local", "remote")


def remote(store: Store, asked: str) -> Remote:
    """The remote of this name in the user's repository, or at this path or URL. Raises Unreachable, BadData."""
    _, common = locate.place(os.getcwd())
    found = _of_repository(asked, common) if common else None
    if found is None:
        # a path is the caller's, or coord.toml's
        paths = (os.path.join(base, asked) for base in (os.getcwd(), os.path.dirname(store.path)))
        path = next((os.path.normpath(path) for path in paths if os.path.isdir(path)), None)
        if path is None and ":" not in asked:
            raise Unreachable(
                f"no remote {asked!r} here",
                todo="`git remote -v` lists them; a path or URL does, too",
            )
        url = path or asked
        found = Remote(url, url, url, ())
    given = locate.section(store, "sync")
    found.namespace = _text(given, "namespace", NAMESPACE)
    found.own = _text(given, "push", "")
    patterns = given.get("fetch", [])
    if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
        raise BadData("[sync] fetch is not a list of refs", where=CONFIG, todo="correct the file")
    found.fetch = tuple(patterns)
    return found


def _of_repository(asked: str, common: str) -> Remote | None:
    git = (*Git.PROGRAM, f"--git-dir={common}")
    _, out, _ = run(
        [*git, "config", "--local", "--includes", "-z", "--get-regexp", _CONFIG], seconds=10
    )
    pairs = [
        one.partition("\n")[::2]
        for one in out.decode("utf-8", "surrogateescape").split("\0")
        if one
    ]
    urls = [value for key, value in pairs if key == f"remote.{asked}.url"]
    pushed = [value for key, value in pairs if key == f"remote.{asked}.pushurl"] or urls
    if not urls:
        return None
    given = [(key, value) for key, value in pairs if not key.startswith("remote.")]
    return Remote(asked, _absolute(urls[0], common), _absolute(pushed[0], common), given)


def _absolute(url: str, common: str) -> str:
    """A path is meant from the repository on. What git reads as a URL is left to it, `url.*.insteadOf` too."""
    local = "://" not in url and ":" not in url.partition("/")[0]
    root = os.path.dirname(common) if os.path.basename(common) == ".git" else common
    return os.path.normpath(os.path.join(root, url)) if local else url


def _text(given: dict[str, object], key: str, default: str) -> str:
    found = given.get(key, default)
    if not isinstance(found, str) or (found and not found.startswith("refs/")):
        raise BadData(f"[sync] {key} is no ref (refs/…)", where=CONFIG, todo="correct the file")
    return found.rstrip("/")
