"""A name can be proved: what a key that may not writes confirms, runs and counts for nothing, by git and by each engine."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from live.engines import CREDENTIALS, Server, serving
from live.fake import installed
from live.test_mirror import Watching
from support import Json, Shell, git

NAMES = ("ada", "bob", "mal")


class Team:
    """Repositories of one project on one remote, a key for each person, and who may write as whom."""

    def __init__(self, root: Path, server: Server | None) -> None:
        self.root, self.server = root, server
        if not shutil.which("ssh-keygen"):
            pytest.skip("ssh-keygen is not installed")
        self.keys = {name: self.key(name) for name in NAMES}
        if server is None:
            git("init", "-q", "--bare", str(root / "hub.git"), cwd=root)
        self.signers = "".join(f"agent:{name} {self.keys[name]}\n" for name in NAMES)

    def key(self, name: str) -> str:
        """A new key pair; its public key."""
        path = self.root / name
        Shell(self.root)(f"ssh-keygen -q -t ed25519 -N '' -C {name} -f {path}")
        return " ".join((path.with_suffix(".pub")).read_text().split()[:2])

    def store(self, name: str, person: str = "", honest: bool = True) -> Shell:
        """A store that signs with the person's key; one that is not honest checks nothing."""
        path, person = self.root / f"{name}.d", person or name
        path.mkdir()
        git("init", "-q", cwd=path)
        git("config", "user.signingkey", str(self.root / f"{person}.pub"), cwd=path)
        (path / "signers").write_text(self.signers)
        trusting = 'allowed_signers = "signers"\n' if honest else ""
        (path / "coord.toml").write_text(f'project = "acme"\n[sync]\nsign = true\n{trusting}')
        shell = Shell(path)
        shell.env |= {"COORD_AGENT": person, "PYTHONPATH": installed(self.root / f"{name}.site")}
        for variable in ("COORD_DIR", "COORD_SESSION", "COORD_NOW", "COORD_KEEP"):
            shell.env.pop(variable, None)
        if self.server and (known := CREDENTIALS.get(self.server.url)):
            shell.env |= {"COORD_WS_USER": known.user, "COORD_WS_PASSWORD": known.password}
        shell("ev init && ev trust" if honest else "ev init")
        shell(f"ev sync --remote {self.server.url if self.server else self.root / 'hub.git'}")
        return shell

    def sync(self, *shells: Shell) -> None:
        for shell in shells:
            shell("ev sync")


@pytest.fixture(params=["git", "redis", "nats", "ws"])
def team(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Team]:
    if request.param == "git":
        yield Team(tmp_path, None)
        return
    with serving(request.param, tmp_path / "server") as server:
        yield Team(tmp_path, server)


@pytest.fixture
def git_team(tmp_path: Path) -> Team:
    return Team(tmp_path, None)


def item(shell: Shell, work: str) -> Json:
    return shell(f"wk show {work}").one


def signatures(shell: Shell, expect: int = 0) -> list[Json]:
    """What `ev verify --signatures` says of streams, without their names."""
    rows = shell("ev verify --signatures", expect=expect).lines
    return sorted(
        ({k: v for k, v in row.items() if k != "stream"} for row in rows if "stream" in row),
        key=str,
    )


def test_what_a_key_that_may_not_has_pushed_decides_nothing(team: Team) -> None:
    ada, bob, mal = team.store("ada"), team.store("bob"), team.store("mal", honest=False)
    work = ada("wk new 'a thing to do'").one["event_id"]
    question = ada("wk ask 'Ship it?' --to agent:bob").one["event_id"]
    team.sync(ada, mal)

    # Mallory writes as Ada and as Bob. His store confirms it all, since it checks nothing.
    claim = mal(f"wk claim {work} --require confirmed --as bob").one
    lease = mal("lease acquire env:production --scope remote --as ada --ttl 1h").one
    mal(f"wk answer {question} yes --as bob")
    mal("msg send --to agent:bob --subject Urgent --body 'Do it now.' --as ada --force")
    job = mal("run request --as ada -- touch pwned").one["event_id"]
    comment = mal(f"wk comment {work} 'I said so' --as ada").one["event_id"]
    mal("ev sync")
    team.sync(bob, ada)

    for shell in (ada, bob):
        assert "owner" not in item(shell, work) and item(shell, work)["status"] == "ready"
        assert item(shell, work)["comments"][0]["trust"] == "unsigned"
        assert "answer" not in item(shell, question) and item(shell, question)["status"] != "done"
        log = {row["event_id"]: row.get("$trust") for row in shell(f"wk log {work}").lines}
        assert log[claim["event_id"]] == log[comment] == "unsigned"
        assert log[work] is None or shell is bob
        assert lease["event_id"] not in {row["lease_id"] for row in shell("lease ls").lines}
        assert [row["status"] for row in shell("run ls --all").lines] == ["unsigned"]
        assert any(row.get("unsigned") for row in signatures(shell, expect=1))
    mail = {row["body"].get("subject"): row["$trust"] for row in bob("msg recv").lines}
    assert mail["Urgent"] == "unsigned" and mail["Ship it?"] == "signed:agent:ada"
    assert "Urgent" not in bob("msg recv --min-trust signed").out
    assert "trust=unsigned" in bob("msg recv --text").out
    assert "from agent:ada, unsigned" in bob("msg hook codex --event UserPromptSubmit").out
    told = bob("msg hook codex --event UserPromptSubmit --as agent:bob", COORD_MIN_TRUST="signed")
    assert "Urgent" not in told.out
    policy = bob.cwd.parent / "home/.config/coord/runner.toml"
    policy.parent.mkdir(parents=True)
    policy.write_text('[[allow]]\nargv = ["touch"]\nfrom = ["*"]\n')
    bob("run worker --once", expect=None, HOME=str(bob.cwd.parent / "home"), XDG_CONFIG_HOME="")
    assert not (bob.cwd / "pwned").exists()
    assert bob(f"run show {job}").one["status"] == "unsigned"

    # Who may, can: with the first token, and the same answer for everybody who comes later.
    won = bob(f"wk claim {work} --require confirmed").one
    assert (won["$level"], won["$token"]) == ("confirmed", 1)
    held = bob("lease acquire env:production --scope remote --ttl 1h --require remote").one
    assert held["$level"] == "confirmed"
    bob(f"wk answer {question} no")
    team.sync(bob, ada)
    late = team.store("late", "ada")
    team.sync(late)
    assert (
        item(ada, question)["answer"]
        == item(late, question)["answer"]
        == item(bob, question)["answer"]
    )
    for shell in (ada, late):
        assert item(shell, work)["owner"] == "agent:bob"
    assert late("ev replay").out == ada("ev replay").out == bob("ev replay").out
    mine = [row for row in signatures(late, 1) if "unsigned" not in row]
    assert {"signed:agent:ada": 2} in mine and any("signed:agent:bob" in row for row in mine)


def test_what_nobody_has_signed_hides_nothing_and_moves_no_arbiter(team: Team) -> None:
    """Eve can push, and has a key that nobody knows."""
    ada, bob = team.store("ada"), team.store("bob")
    team.keys["eve"] = team.key("eve")
    eve = team.store("eve", honest=False)
    one, two = (ada(f"wk new {title}").one["event_id"] for title in ("one", "two"))
    assert ada(f"wk claim {one} --require confirmed").one["$level"] == "confirmed"
    team.sync(eve)
    eve(f"ev redact {one} --reason 'a password'")
    eve(f"ev redact {two} --reason 'a password' --as ada")
    place = team.server.url if team.server else str(team.root / "hub.git")
    eve(f"ev sync --take-arbiter {place} && wk claim {two} --require confirmed && ev sync")
    assert eve(f"wk show {one}").one["title"] == "(redacted)"

    ada(f"wk comment {one} 'Going on.' && ev sync")
    late = team.store("late", "bob")
    team.sync(bob)
    for shell in (ada, bob, late):
        assert [item(shell, work)["title"] for work in (one, two)] == ["one", "two"]
        assert item(shell, one)["owner"] == "agent:ada" and "owner" not in item(shell, two)
        rows = shell("ev replay --type coord.redacted --type coord.arbiter_moved | ev show").lines
        forged = [row for row in rows if row.get("$trust") == "unsigned"]
        assert len(forged) >= 3, "they are shown as what they are"
    assert bob(f"wk claim {two} --require confirmed").one["$level"] == "confirmed"
    bob(f"ev redact {one} --reason 'a password' && ev sync")
    team.sync(ada)
    assert item(ada, two)["owner"] == "agent:bob" and item(ada, one)["title"] == "(redacted)"


def test_lines_that_were_put_behind_a_writers_own_leave_what_it_adds_signed(git_team: Team) -> None:
    """Mallory's copy of Ada's stream is longer than hers, and is read first."""
    team = git_team
    ada, mal, bob = team.store("ada"), team.store("mal", honest=False), team.store("bob")
    ada("ev emit a.one")
    team.sync(ada, mal)
    (path,) = (mal.cwd / ".coord/journal").glob("agent.ada~*/*.jsonl")
    line = path.read_bytes().split(b"\n")[0]
    forged = line.replace(b'"seq":1', b'"seq":2').replace(b"a.one", b"a.lie")
    at = forged.index(b'"event_id":"') + 12
    path.write_bytes(line + b"\n" + forged[: at + 9] + b"Z" + forged[at + 10 :] + b"\n")
    team.sync(mal, bob)
    ada("ev emit a.two")
    ada("ev sync", expect=None)
    ada("ev emit a.three && ev sync", expect=None)
    bob("ev sync")
    rows = bob("ev replay --type 'a.*' | ev show").lines
    trust = {row["type"]: row.get("$trust") for row in rows}
    assert trust == {"a.one": None, "a.lie": "unsigned", "a.two": None, "a.three": None}


def claiming(shell: Shell, stream: str, *forged: tuple[int, str, Json, Json]) -> None:
    """Append lines with these seqs, types, bodies and other fields to a stream of another store."""
    (path,) = (shell.cwd / ".coord/journal").glob(f"{stream}~????????/*.jsonl")
    last = json.loads(path.read_bytes().splitlines()[-1])
    head = {name: last[name] for name in ("event_id", "ts", "project", "writer", "actor")}
    with path.open("ab") as out:
        for place, (seq, kind, body, more) in enumerate(forged):
            event_id = f"{last['event_id'][:9]}Z{place:06}{last['event_id'][16:]}"
            fields = head | {"event_id": event_id, "type": kind, "seq": seq, "body": body} | more
            out.write(json.dumps(fields, separators=(",", ":")).encode() + b"\n")


def test_a_pushed_line_has_not_the_place_that_it_claims(git_team: Team) -> None:
    """Of a store's own stream, and of streams that are signed."""
    team = git_team
    ada, bob, mal = team.store("ada"), team.store("bob"), team.store("mal", honest=False)
    secret = ada("wk new secret").one["event_id"]
    assert ada(f"wk claim {secret} --require confirmed").one["$level"] == "confirmed"
    mine = bob("wk new mine").one["event_id"]
    bob("wk new other && ev sync")
    team.sync(ada, mal)
    closed = {"refs": {"work_id": mine}, "base": [mine]}
    claiming(
        mal,
        "agent.bob",
        (900, "a.lie", {}, {}),
        (3, "work.closed", {"resolution": "done"}, closed),
        (4, "a.lie", {}, {}),
    )
    redacted = {"target": secret, "reason": "forged"}
    claiming(mal, "agent.ada", (1, "coord.redacted", redacted, {}))
    moved = {"to": "elsewhere", "agent_id": "agent:mal"}
    claiming(mal, "arbiter.main", (1, "coord.arbiter_moved", moved, {}))
    team.sync(mal, bob, ada)
    assert (bob.cwd / ".coord/local/signed/own").exists(), "his stream went on at the remote"
    late = team.store("late", "bob")
    for shell in (ada, bob, late):
        assert item(shell, mine)["status"] == "ready"
        assert item(shell, secret)["title"] == "secret"
    assert bob(f"wk claim {mine} --require confirmed").one["$level"] == "confirmed"


def test_a_key_is_rotated_and_revoked_and_a_late_clone_verifies_the_past(git_team: Team) -> None:
    team = git_team
    ada = team.store("ada")
    ada("ev emit a.one && ev sync")
    team.key("new")
    ada(f"ev sync --next-key {team.root / 'new.pub'}")
    assert "was replaced by another key" in ada("ev emit a.no && ev sync", expect=77).err
    git("config", "user.signingkey", str(team.root / "new.pub"), cwd=ada.cwd)
    ada("ev emit a.two && ev sync")
    bob = team.store("bob")
    assert signatures(bob) == [{"signed:agent:ada": 3}]
    (chain,) = (row for row in bob("ev verify --signatures").lines if "chain" in row)

    # The new key is stolen: what it signs from here on does not count, its past stays.
    ada("ev emit a.stolen && ev sync")
    public = " ".join((team.root / "new.pub").read_text().split()[:2])
    team.signers += f"@revoked {public} {chain['chain']}={chain['statement']}\n"
    late = team.store("late", "bob")
    (bob.cwd / "signers").write_text(team.signers)
    assert "changed, and the file agreed to before counts" in bob("ev sync").err
    assert signatures(bob) == [{"signed:agent:ada": 4}]
    assert bob("ev trust").lines[-1]["trusted"]
    for shell in (bob, late):
        assert signatures(shell, expect=1) == [{"signed:agent:ada": 3, "unsigned": 1}]


def test_an_expired_key_signs_and_gives_nothing_more(git_team: Team) -> None:
    team = git_team
    team.signers = team.signers.replace("agent:ada ", 'agent:ada valid-before="20270101Z" ')
    ada, bob = team.store("ada"), team.store("bob")
    ada.env["COORD_NOW"] = "2026-12-31T23:00:00.000Z"
    ada("ev emit a.one && ev sync")
    ada.env["COORD_NOW"] = "2027-01-01T01:00:00.000Z"
    assert not ada("ev sync").err, "nothing is to be signed"
    bob("ev emit b.one && ev sync", COORD_NOW=ada.env["COORD_NOW"])
    assert "this key is not valid now" in ada("ev emit a.two && ev sync", expect=77).err
    assert ada("ev replay --type b.one").one, "what was there is taken in"
    bob("ev sync", COORD_NOW=ada.env["COORD_NOW"])
    assert signatures(bob) == [{"signed:agent:ada": 1}]

    # Another key goes on: what waited is signed, and counts.
    public = team.key("new")
    git("config", "user.signingkey", str(team.root / "new.pub"), cwd=ada.cwd)
    assert "not in allowed_signers" in ada("ev sync", expect=77).err
    for shell in (ada, bob):
        (shell.cwd / "signers").write_text(f"{team.signers}agent:ada {public}\n")
        shell("ev trust")
    ada("ev sync")
    bob("ev sync", COORD_NOW=ada.env["COORD_NOW"])
    assert signatures(bob) == [{"signed:agent:ada": 2}]


def test_a_revoked_key_signs_and_gives_nothing_more(git_team: Team) -> None:
    team = git_team
    ada, bob = team.store("ada"), team.store("bob")
    (ada.cwd / "signers").write_text(f"{team.signers}@revoked {team.keys['ada']}\n")
    ada("ev trust")
    for command in ("ev sync", f"ev sync --with {bob.cwd}"):
        assert "this key was revoked" in ada(f"ev emit a.one; {command}", expect=77).err
    bob("ev sync")
    assert signatures(bob) == []


@pytest.mark.parametrize("engine", ["git", "fake"])
def test_a_claim_that_the_key_may_not_confirm_stays_tentative(tmp_path: Path, engine: str) -> None:
    if engine == "git":
        _stays_tentative(Team(tmp_path, None))
        return
    with serving(engine, tmp_path / "server") as server:
        _stays_tentative(Team(tmp_path, server))


def _stays_tentative(team: Team) -> None:
    ada, bob = team.store("ada"), team.store("bob")
    work, other = (ada(f"wk new {title}").one["event_id"] for title in ("one", "two"))
    team.sync(ada)

    done = ada(f"wk claim {work} --require confirmed --as carol", expect=69)
    assert "this key may not write as agent:carol; it was released" in done.err
    assert item(ada, work)["status"] == "ready"
    ada("wk ready --claim --require confirmed --as carol", expect=69)
    assert item(ada, work)["status"] == item(ada, other)["status"] == "ready"
    taken = ada(f"wk claim {other} --as carol")
    assert taken.one["$level"] == "tentative" and "may not write as agent:carol" in taken.err
    lease = "lease acquire env:production --scope remote --ttl 1h"
    assert "may not write as agent:carol" in ada(f"{lease} --as carol", expect=69).err
    ada("msg send --to queue:q --subject Hi --force")
    queue = "msg recv queue:q --require confirmed"
    assert "may not write as agent:carol" in ada(f"{queue} --as carol", expect=69).err

    # Each sync says so, and proposes nothing; nobody else is kept from anything.
    for _ in range(2):
        done = ada("ev sync")
        assert "may not write as agent:carol" in done.err and "confirmed" not in done.one
    assert not list((ada.cwd / ".coord/journal").glob("arbiter.*"))
    assert ada(f"wk claim {work} --require confirmed").one["$level"] == "confirmed"
    assert ada(lease).one["$level"] == "confirmed" and ada(queue).one["body"]["subject"] == "Hi"
    bob("ev sync")
    assert item(bob, work)["owner"] == "agent:ada" and "owner" not in item(bob, other)

    # With a key that may, the next sync confirms it.
    for shell in (ada, bob):
        text = team.signers.replace("agent:ada ", "agent:ada,agent:carol ")
        (shell.cwd / "signers").write_text(text)
        shell("ev trust")
    assert taken.one["event_id"] in ada("ev sync").one["confirmed"]
    bob("ev sync")
    assert item(bob, other)["owner"] == "agent:carol"


@pytest.mark.parametrize("how", ["rm", "mkdir", "mkfifo", "empty", "comment"])
def test_a_sync_goes_on_with_the_signers_agreed_to_before(git_team: Team, how: str) -> None:
    team = git_team
    ada, bob = team.store("ada"), team.store("bob")
    path = bob.cwd / "signers"
    path.unlink()
    if how in ("mkdir", "mkfifo"):
        bob(f"{how} signers")
    elif how != "rm":
        path.write_text("# nobody\n" if how == "comment" else "")
    ada("ev emit a.one && ev sync")
    assert "the file agreed to before counts" in bob("ev sync").err
    assert signatures(bob) == [{"signed:agent:ada": 1}]
    assert str(path) in bob("ev trust", expect=74 if how == "rm" else 65).err
    bob("ev emit b.one && ev sync && ev sync")
    assert signatures(bob) == [{"signed:agent:ada": 1}]


def test_lists_and_brief_lines_say_what_is_unsigned(git_team: Team) -> None:
    team = git_team
    ada, mal, bob = team.store("ada"), team.store("mal", honest=False), team.store("bob")
    ada("wk new good && msg send --to agent:bob --subject good --force && ev sync")
    mal("wk new bad --as ada && msg send --to agent:bob --subject bad --force --as ada && ev sync")
    team.sync(bob)
    for command in (
        "wk ready -o brief",
        "wk ls -o brief",
        "wk ready -o table",
        "wk ls -o table",
        "msg ls -o brief",
        "msg ls -o table",
        "msg recv -o brief",
    ):
        rows = [row for row in bob(command).out.splitlines() if "good" in row or "bad" in row]
        assert [("bad" in row) for row in rows] == [("unsigned" in row) for row in rows], command
        assert len(rows) == 2, command
    assert item(bob, bob("wk ready --claim").one["refs"]["work_id"])["title"] == "good"
    err = bob("wk ready --claim", expect=1).err
    assert "nothing is ready that somebody has signed (1 are unsigned); `wk claim ID`" in err


def test_a_store_that_knows_signers_and_does_not_sign_confirms_nothing(git_team: Team) -> None:
    team = git_team
    ada = team.store("ada")
    (ada.cwd / "coord.toml").write_text('project = "acme"\n[sync]\nallowed_signers = "signers"\n')
    work = ada("wk new x").one["event_id"]
    done = ada(f"wk claim {work} --require confirmed", expect=69)
    assert "this store does not sign" in done.err
    done = ada(f"ev sync --take-arbiter {team.root / 'hub.git'}", expect=69)
    assert "this store does not sign" in done.err


def test_who_does_not_agree_to_signers_sees_what_was_always_seen(git_team: Team) -> None:
    team = git_team
    ada, plain = team.store("ada"), team.store("bob", honest=False)
    ada("msg send --to agent:bob --subject Hi --force && ev sync")
    plain("ev sync")
    assert plain("msg recv").one["$trust"] == "synced"
    assert "no allowed_signers" in plain("ev verify --signatures", expect=1).err
    assert not (plain.cwd / ".coord/local/signed/table").exists()


def test_a_consumer_and_a_policy_can_demand_who_signed(git_team: Team) -> None:
    team = git_team
    ada, bob, mal = team.store("ada"), team.store("bob"), team.store("mal", honest=False)
    ada('ev emit a.done --body \'{"text":"true"}\' && run request -- echo signed && ev sync')
    mal('ev emit a.done --body \'{"text":"forged"}\' --as ada && ev sync')
    team.sync(bob)
    for trust, texts in (
        ('trust = ["signed:agent:ada"]', {"true"}),
        ('trust = ["*"]', {"true", "forged"}),
        ("", {"true"}),
    ):
        run = '[run]\nargv = ["cat"]\nstdin = "{{body.text}}"\n'
        match = f'[match]\ntypes = ["a.done"]\n{trust}\n'
        (bob.cwd / "c.toml").write_text(f'name = "c"\n{match}{run}')
        rows = bob("ev consume c.toml --once --dry-run").lines
        assert {row["stdin"] for row in rows} == texts, trust
    home = bob.cwd.parent / "home"
    (home / ".config/coord").mkdir(parents=True)
    policy = home / ".config/coord/runner.toml"
    for trust, status in (("signed:agent:bob", "requested"), ("signed:agent:*", "completed")):
        policy.write_text(f'[[allow]]\nargv = ["echo"]\nfrom = ["*"]\ntrust = ["{trust}"]\n')
        bob("run worker --once", expect=None, HOME=str(home), XDG_CONFIG_HOME="")
        assert bob("run ls --all").one["status"] == status


def test_a_store_without_signers_loads_nothing_for_signatures(shell: Shell) -> None:
    hub = shell.cwd.parent / "hub.git"
    git("init", "-q", "--bare", str(hub), cwd=shell.cwd)
    shell(f"ev sync --remote {hub}")
    ours = (
        "coord_kernel.sync.signed",
        "coord_kernel.streams.trusted",
        "coord_kernel.rules.signing",
    )
    for command in (
        "wk ls",
        "msg recv",
        "lease ls",
        "run ls",
        "ev agents",
        "ev tail -n 1",
        "ev sync",
    ):
        tool, *words = command.split()
        code = (
            f"import sys; sys.argv = {[tool, *words]!r}\nfrom coord_{tool}.cli import main\n"
            "try: main()\nexcept SystemExit: pass\n"
            f"sys.exit(any(name.startswith({ours!r}) for name in sys.modules))"
        )
        shell(f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}")


def test_a_mirror_signs_what_it_gives_and_the_arbiters_lines(tmp_path: Path) -> None:
    with serving("fake", tmp_path / "server") as server:
        team = Team(tmp_path, server)
        ada, bob = team.store("ada"), team.store("bob")
        mirrors = [Watching(shell) for shell in (ada, bob)]
        try:
            work = ada("wk new x").one["event_id"]
            claimed = ada(f"wk claim {work} --require confirmed").one
            assert claimed["$level"] == "confirmed"
            other = ada("wk new y").one["event_id"]
            done = ada(f"wk claim {other} --require confirmed --as carol", expect=69)
            assert "the arbiter did not confirm it; it was released" in done.err
            lease = "lease acquire env:production --scope remote --ttl 1h"
            assert "may not write as agent:carol" in ada(f"{lease} --as carol", expect=69).err
            assert ada(lease).one["$level"] == "confirmed"
        finally:
            for mirror in mirrors:
                mirror.process.terminate()
                mirror.process.wait()
        team.sync(ada, bob)
        assert item(bob, work)["owner"] == "agent:ada"
        rows = bob("ev verify --signatures", expect=1).lines
        doubted = [row["stream"].partition("~")[0] for row in rows if "unsigned" in row]
        assert doubted == ["agent.carol"]
