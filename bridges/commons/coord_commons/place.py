"""The commons of this user: directories, each with a store of its own.

    $XDG_DATA_HOME/coord/commons/NAME/     (~/.local/share without it)
        .git/              so that git's settings can be its own: `user.signingkey`
        .coord/            the store
        coord.toml         [sync] sign, allowed_signers; [commons] town, trusted
        allowed_signers    who may write as whom: counts as agreed to

Nobody can push to these files: they are the user's.
"""

from __future__ import annotations

import os
import subprocess

from coord_commons import towns
from coord_envelope.errors import BadData, No, Refused, Unreachable, Usage
from coord_kernel.cli.escape import visible
from coord_kernel.cli.person import of_git
from coord_kernel.journal.journal import Journal
from coord_kernel.store import locate, machine
from coord_kernel.store.config import slug
from coord_kernel.store.disk import fault_of
from coord_kernel.sync.places import Configuration
from coord_kernel.sync.signed.keygen import Key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_kernel.store.directory import Store

SIGNERS, CONFIG = "allowed_signers", "coord.toml"
SECTION = "commons"


def home() -> str:
    """The directory of all commons."""
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return os.path.join(os.path.abspath(os.path.expanduser(base)), "coord", "commons")


def joined() -> list[str]:
    """The names of those that were joined."""
    try:
        names = sorted(os.listdir(home()))
    except OSError:
        return []
    return [name for name in names if os.path.isdir(os.path.join(home(), name, ".coord"))]


def name_of(remote: str) -> str:
    """What a commons at this remote is called, in all towns: the project of its stores."""
    last = remote.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    return slug(last.removesuffix(".git"))


def chosen(name: str | None) -> str:
    """The commons with this name, or the only one. Raises No, Usage."""
    names = joined()
    if name is not None:
        if name not in names:
            raise No(
                "not a commons that you have joined", where=name, todo="see `coord-commons ls`"
            )
        return name
    if not names:
        raise No("no commons was joined", todo="`coord-commons join REMOTE`", code="not_found")
    if len(names) > 1:
        raise Usage("which commons?", todo=f"--commons {' or '.join(names)}")
    return names[0]


class Place:
    """A commons that was joined."""

    def __init__(self, name: str) -> None:
        self.name, self.root = name, os.path.join(home(), name)
        self.store: Store = locate.find(os.path.join(self.root, ".coord"))
        self.journal = Journal(self.store)
        section = locate.section(self.store, SECTION)
        self.town = str(section.get("town", ""))
        if not towns.is_town(self.town):
            raise BadData(f"[{SECTION}] town is not a name", where=self._path(CONFIG))
        self.trusted = _texts(section.get("trusted", []), self._path(CONFIG))
        """Fingerprints of keys whose offers need no question."""

    def _path(self, name: str) -> str:
        return os.path.join(self.root, name)

    @property
    def actor(self) -> dict[str, str]:
        """As whom this town writes there: without what is only this town's."""
        return {"agent_id": f"agent:{self.town}"}

    @property
    def agreed(self) -> str:
        """The signers that were agreed to."""
        data = self.store.load("local", ".git", SIGNERS, most=1 << 20)
        return (data or b"").decode("utf-8", "surrogateescape")

    @property
    def proposed(self) -> str:
        """The signers of the file."""
        try:
            with open(self._path(SIGNERS), encoding="utf-8", errors="surrogateescape") as file:
                return file.read(1 << 20)
        except FileNotFoundError:
            return ""

    def agree(self, text: str) -> None:
        """Write the file, and agree to it. Raises BadData, DiskFault."""
        from coord_kernel.sync.signed import agreed

        write(self._path(SIGNERS), text)
        agreed.agree(self.store)

    def key(self) -> str:
        """The public key that this user signs with. Raises Refused."""
        return signing_key(self.store).public


def signing_key(store: Store) -> Key:
    """The key of git's `user.signingkey`, as it is where a store lies. Raises Refused."""
    named = Configuration(store).signing_key()
    if not named:
        todo = "`git config --global user.signingkey ~/.ssh/id_ed25519.pub`"
        raise Refused("no signing key", where="user.signingkey", todo=todo)
    return Key(named, locate.root(store.path))


def make(name: str, project: str, town: str) -> bool:
    """Make the directory of a commons; False: it was there. Raises Refused, DiskFault."""
    root = os.path.join(home(), name)
    new = not os.path.lexists(root)
    try:
        os.makedirs(root, mode=0o700, exist_ok=True)
    except OSError as error:
        raise fault_of(error, where=root) from None
    write(
        os.path.join(root, CONFIG),
        f'project = "{project}"\n\n[sync]\nsign = true\nallowed_signers = "{SIGNERS}"\n\n'
        f"[{SECTION}]\n"
        f'town = "{town}"\n'
        "# Fingerprints of keys whose work your agents may take unasked:\n"
        "trusted = []\n",
    )
    _run(root, "git", "init", "-q", ".")
    _run(root, "ev", "init")
    return new


def _run(root: str, *argv: str) -> None:
    from coord_kernel.proc import beside

    names = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "COORD_DIR")
    env = {name: value for name, value in os.environ.items() if name not in names}
    env["PATH"] = beside.path()
    try:
        done = subprocess.run(argv, cwd=root, env=env, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Unreachable(f"{argv[0]}: {error.strerror}") from None
    if done.returncode:
        lines = (done.stderr.strip() or "failed").split("\n")
        raise Refused(f"{' '.join(argv[:2])}: {lines[0]}", where=root)


def write(path: str, text: str) -> None:
    """Replace a small file, whole or not at all. Raises DiskFault."""
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise fault_of(error, where=path) from None


def read(path: str) -> str:
    """A file that the user names. Raises DiskFault."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(1 << 20)
    except OSError as error:
        raise fault_of(error, where=path) from None


def town(given: str | None) -> str:
    """What this town is called: as asked, or as git's user, or as who runs this. Raises Usage."""
    if given is not None:
        if not towns.is_town(given):
            raise Usage(f"not a valid name: {given!r}", where="--town", todo="use a-z 0-9 . _ -")
        return given
    name = of_git() or machine.login()
    if not any(each.isascii() and each.isalnum() for each in name):
        todo = "name your town: --town NAME, of a-z 0-9 . _ -"
        raise Usage(f"not a valid name: {visible(name)[:80]!r}", where="user.name", todo=todo)
    return slug(name)[:63]


def _texts(value: object, where: str) -> Sequence[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        todo = 'trusted = ["SHA256:…"]'
        raise BadData(f"[{SECTION}] trusted is not a list of texts", where=where, todo=todo)
    return value
