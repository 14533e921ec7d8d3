"""git's effective configuration: the URLs of a remote, and how the user's git reaches them.

1. It is asked for where the store's repository is (in the current work tree, if that is one of
   this repository): system, global, local, work tree and GIT_CONFIG_*, with every includeIf.
2. Only what says how to reach a remote goes on to the git that runs in the store's repository.
   That one reads no other file, so hooks, aliases, filters and the like cannot reach it.
3. URLs are rewritten here, once: `url.*.insteadOf` and `pushInsteadOf`, by git itself.
4. There is one place to push to: the URL that is fetched, if pushes go there, too; or else the
   first push URL. Then nothing is confirmed that is not read back at the fetched one.
"""

from __future__ import annotations

import os

from coord_kernel.store import locate
from coord_kernel.sync.git import Git, run
from coord_kernel.sync.remote import Remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store

_REACH = (
    r"^(credential[a-z]*|https?|ssh|protocol)\.|^core\.(sshcommand|askpass|gitproxy)$"
    r"|^safe\.directory$"
)
_SIGNING = "user.signingkey"
_REWRITES = r"^url\..*\.(push)?insteadof$"
_OF_REMOTE = ("url", "pushurl", "proxy", "proxyauthmethod", "uploadpack", "receivepack")
_OURS = "coord-sync"
"""The name that a URL without one gets."""


class Configuration:
    """What git is configured to where the store's repository is."""

    def __init__(self, store: Store) -> None:
        self._root = locate.root(store.path)
        tree, common = locate.tree(store), locate.common_dir(store.path)
        git_dir = os.path.join(tree, ".git")
        own = os.path.join(store.path, ".git")  # without a repository
        git_dir = git_dir if os.path.lexists(git_dir) else common or own
        # -C: the current directory may have been removed.
        self._git = ("-C", tree, f"--git-dir={git_dir}")
        self._environment = {
            name: value for name, value in os.environ.items() if name.startswith("GIT_CONFIG_")
        }
        keys = rf"{_REACH}|{_REWRITES}|^{_SIGNING}$|^remote\..*\.({'|'.join(_OF_REMOTE)})$"
        out = self._run("config", "--includes", "-z", "--get-regexp", keys)
        entries = filter(None, out.split("\0"))
        # A key without "=" is true.
        self._entries = [
            (key, value if equals else "true")
            for key, equals, value in (entry.partition("\n") for entry in entries)
        ]

    def signing_key(self) -> str:
        """The key that git signs with; "": none is configured."""
        return next((value for key, value in reversed(self._entries) if key == _SIGNING), "")

    def remote(self, name: str) -> Remote | None:
        """The remote of this name; None if there is none."""
        if not self._of(name, "url"):
            return None
        return self._remote(name, name)

    def at(self, url: str) -> Remote:
        """The remote at this path or URL."""
        self._entries.append((f"remote.{_OURS}.url", url))
        return self._remote(url, _OURS)

    def _remote(self, name: str, configured: str) -> Remote:
        urls, pushed = self._of(configured, "url"), self._of(configured, "pushurl")
        if any(key.startswith("url.") for key, _ in self._entries):
            if configured == _OURS:  # `git remote` does not know it
                urls = self._run("ls-remote", "--get-url", "--", *urls).splitlines() or urls
            get_url = ("remote", "get-url", "--all")
            urls = self._run(*get_url, "--", configured).splitlines() or urls
            pushed = self._run(*get_url, "--push", "--", configured).splitlines() or pushed
        url = self._absolute(urls[0])
        places = [self._absolute(place) for place in pushed or urls]
        reach = [
            (key, value)
            for key, value in self._entries
            if not key.startswith(("remote.", "url.", _SIGNING))
        ]
        for key in ("proxy", "proxyauthmethod"):
            reach += [(f"http.{key}", value) for value in self._of(configured, key)]
        remote = Remote(name, url, url if url in places else places[0], reach)
        remote.signing_key = self.signing_key()
        for value in self._of(configured, "uploadpack"):
            remote.upload_pack = value
        for value in self._of(configured, "receivepack"):
            remote.receive_pack = value
        return remote

    def _of(self, remote: str, key: str) -> list[str]:
        """What is configured of a remote. An empty value clears what precedes it."""
        values = list[str]()
        for each, value in self._entries:
            if each == f"remote.{remote}.{key}":
                values = [*values, value] if value else []
        return values

    def _run(self, *command: str) -> str:
        argv = [*Git.PROGRAM, *self._git, *command]
        return run(argv, 10, self._environment)[1].decode("utf-8", "surrogateescape")

    def _absolute(self, url: str) -> str:
        """The URL, where a path is relative to the repository. git itself reads other URLs."""
        local = "://" not in url and ":" not in url.partition("/")[0]
        return os.path.normpath(os.path.join(self._root, url)) if local else url
