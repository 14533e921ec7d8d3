"""Towns that share a git remote or a relay: each a user with a repository, a key, and a store of the commons."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from live.engines import CREDENTIALS, Server
from support import Done, Json, Shell, git

from coord_commons.exchange import Commons
from coord_commons.place import Place
from coord_commons.rows import shown

NAMES = ("springfield", "shelbyville", "ogdenville")
KILLED = (137, -9)
"""The statuses of what `timeout -s KILL` has killed: with a shell between, and without."""


class Towns:
    """They have not joined anything yet."""

    def __init__(
        self, root: Path, server: Server | None = None, names: Iterable[str] = NAMES
    ) -> None:
        if not shutil.which("ssh-keygen"):
            pytest.skip("ssh-keygen is not installed")
        self.root, self.server, self.names = root, server, tuple(names)
        if server is None:
            git("init", "-q", "--bare", str(root / "acme.git"), cwd=root)
        self.remote = server.url if server else str(root / "acme.git")
        self.town = {name: self._town(name) for name in self.names}

    def _town(self, name: str) -> Shell:
        path = self.root / f"{name}.d"
        path.mkdir()
        git("init", "-q", cwd=path)
        shell = Shell(path)
        for variable in ("COORD_DIR", "COORD_SESSION", "COORD_NOW", "COORD_KEEP"):
            shell.env.pop(variable, None)
        if self.server and (known := CREDENTIALS.get(self.server.url)):
            shell.env |= {"COORD_WS_USER": known.user, "COORD_WS_PASSWORD": known.password}
        shell.env |= {
            "XDG_DATA_HOME": str(self.root / f"{name}.share"),
            "GIT_CONFIG_GLOBAL": str(self.root / f"{name}.gitconfig"),
            "COORD_AGENT": f"human:{name}",
        }
        (self.root / f"{name}.gitconfig").write_text(
            f"[user]\nname = {name}\nsigningkey = {self.root / name}.pub\n"
        )
        shell(f"ssh-keygen -q -t ed25519 -N '' -C {name} -f {self.root / name}; ev init")
        return shell

    def key(self, name: str) -> str:
        return " ".join((self.root / f"{name}.pub").read_text().split()[:2])

    def signers(self, *more: str) -> Path:
        """A file with all towns, and these lines."""
        path = self.root / "signers"
        lines = [f"agent:{name} {self.key(name)}\n" for name in self.names]
        path.write_text("".join([*lines, *(f"{line}\n" for line in more)]))
        return path

    def join(self, signers: Path | None = None) -> None:
        """All of them join, and agree to one file."""
        file = signers or self.signers()
        for shell in self.town.values():
            shell(f"coord-commons join {self.remote} --signers {file}")

    def place(self, name: str) -> Path:
        """The directory of a town's commons."""
        return self.root / f"{name}.share/coord/commons/acme"

    def there(self, name: str, line: str, expect: int | None = 0, **env: str) -> Done:
        """A command of the five tools, in a town's store of the commons."""
        path = str(self.place(name) / ".coord")
        return self.town[name](line, expect=expect, **{"COORD_DIR": path, **env})

    def offer(self, name: str, title: str = "a thing") -> str:
        """An item, offered; the id of the offer."""
        made = self.town[name](f"coord-commons offer $(wk new '{title}' -o id) -o id")
        return made.out.strip()

    def done(self, owner: str, worker: str) -> str:
        """An offer that was accepted."""
        work = self.offer(owner)
        self.town[worker](f"coord-commons take {work}")
        self.town[worker](f"coord-commons submit {work} --evidence commit=abc")
        self.town[owner](f"coord-commons accept {work}")
        return work

    def sync(self, *names: str) -> None:
        for name in names or self.names:
            self.town[name]("coord-commons sync")

    def listed(self, name: str) -> list[Json]:
        """All offers, as a town sees them."""
        return self.town[name]("coord-commons wanted --all").lines

    def view(self, name: str) -> list[Json]:
        """Offers, reputation and patterns, as a town's store has them: what its commands print."""
        commons = Commons(self.store(name))
        market, reputations = commons.reputations()
        offers = [shown(offer, market) for offer in market.offers.values()]
        return [
            *offers,
            *({"subject": at, **reputations[at]} for at in reputations),
            *commons.flags(),
        ]

    def store(self, name: str) -> Place:
        """A town's commons, in this process."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_DATA_HOME", self.town[name].env["XDG_DATA_HOME"])
            return Place("acme")

    def same_views(self) -> list[Json]:
        """All see the same, when they have exchanged everything."""
        self.sync()
        self.sync(*self.names[:-1])
        first, *others = (self.view(name) for name in self.names)
        assert all(other == first for other in others)
        return first

    def at_once(self, lines: Iterable[tuple[str, str]]) -> list[Done]:
        """Commands in these towns, at the same time."""
        rows = list(lines)
        with ThreadPoolExecutor(max(len(rows), 1)) as pool:
            return list(pool.map(lambda row: self.town[row[0]](row[1], expect=None), rows))


def rows_of(view: list[Json], field: str) -> list[Json]:
    return [row for row in view if field in row]
