"""`ev sync` with live remotes, as its user sees it: the mirror, claims through it, several remotes."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live.engines import CREDENTIALS, Server, serving
from live.fake import installed
from live.redis_server import RedisServer
from live.world import Replica
from ports import free_port
from support import Shell, git

from coord_envelope.errors import Unreachable
from coord_kernel.streams.follow import Watcher
from coord_kernel.sync import seat as seats


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Server]:
    with serving("fake", tmp_path / "server") as started:
        yield started


def clone(root: Path, name: str, server: Server | None, sync: bool = True) -> Shell:
    """A repository with a store of project acme that syncs with the server's log."""
    path = root / name
    path.mkdir()
    git("init", "-q", cwd=path)
    (path / "coord.toml").write_text('project = "acme"\n')
    shell = Shell(path)
    shell.env |= {"COORD_AGENT": name, "PYTHONPATH": installed(root / "site")}
    for variable in ("COORD_DIR", "COORD_SESSION", "COORD_NOW"):
        shell.env.pop(variable, None)
    shell("ev init")
    if server and (known := CREDENTIALS.get(server.url)):
        shell.env |= {"COORD_WS_USER": known.user, "COORD_WS_PASSWORD": known.password}
    if server and sync:
        shell(f"ev sync --remote {server.url}")
    return shell


class Watching:
    """A mirror in the background, whose rows are read one by one."""

    def __init__(self, shell: Shell) -> None:
        self.process = shell.popen("ev sync --watch --interval 1h", stdout=subprocess.PIPE)
        self.socket = shell.cwd / ".coord/local/bus.sock"
        wait_for(shell, self.socket.exists)

    def row(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().decode()

    def end(self) -> None:
        """May be called again."""
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.communicate()


def wait_for(shell: Shell, condition: Callable[[], object]) -> None:
    """Until it is true: looked at again when something was written in the store."""
    store = shell.cwd / ".coord"
    watcher = Watcher(str(store))
    assert watcher.fd is not None
    while True:
        journal = [f"journal/{path.name}" for path in store.glob("journal/*")]
        watcher.watch(["local", "local/live", "journal", *journal])
        watcher.drain()
        if condition():
            os.close(watcher.fd)
            return
        ready = select.poll()  # not select: this process may have many files open
        ready.register(watcher.fd, select.POLLIN)
        assert ready.poll(60_000), "it did not come"


@pytest.fixture
def watched() -> Iterator[Callable[[Shell], Watching]]:
    started: list[Watching] = []

    def watch(shell: Shell) -> Watching:
        started.append(Watching(shell))
        return started[-1]

    yield watch
    for mirror in started:
        mirror.end()


Watch = Callable[[Shell], Watching]


def test_what_one_writes_the_other_has_and_claims_are_confirmed(
    fake: Server, tmp_path: Path, watched: Watch
) -> None:
    one, other = clone(tmp_path, "one", fake), clone(tmp_path, "other", fake)
    watched(one)
    watched(other)
    item = one("wk new x -o id").out.strip()
    wait_for(other, lambda: item in other("wk ls -o id").out)
    claimed = other(f"wk claim --require confirmed {item}").one
    assert (claimed["$level"], claimed["$token"]) == ("confirmed", 1)
    assert one(f"wk claim {item}", expect=1).err
    wait_for(one, lambda: not one("ev sync --status").one["unpushed"])
    assert not (one.cwd / ".coord/.git/held").exists()  # git was not used


@pytest.mark.parametrize("form", ["spaces", "escapes"])
def test_a_claim_is_confirmed_however_its_writer_wrote_the_line(
    fake: Server, tmp_path: Path, watched: Watch, form: str
) -> None:
    """Another implementation in the same store."""
    one = clone(tmp_path, "one", fake)
    mine = one("wk new x").one
    watched(one)
    writer = f"agent.other~{mine['writer'].partition('~')[2]}"
    claim = {
        **{name: mine[name] for name in ("ts", "project")},
        "event_id": mine["event_id"][:10] + "Z" * 16,
        "type": "work.claimed",
        "writer": writer,
        "seq": 1,
        "actor": {"agent_id": "agent:other"},
        "refs": mine["refs"],
        "base": [mine["event_id"]],
        "body": {"gen": 1},
    }
    line = json.dumps(claim, separators=None if form == "spaces" else (",", ":"))
    line = line.replace(".claimed", "\\u002eclaimed" if form == "escapes" else ".claimed")
    stream = one.cwd / ".coord/journal" / writer
    stream.mkdir(mode=0o700)
    (stream / "000000000001.jsonl").write_text(f"{line}\n")
    wait_for(one, lambda: one("ev replay --type work.confirmed").lines)


def test_a_claim_through_the_mirror_loads_no_client(
    fake: Server, tmp_path: Path, watched: Watch
) -> None:
    one = clone(tmp_path, "one", fake)
    watched(one)
    item = one("wk new x -o id").out.strip()
    traced = f"{sys.executable} -X importtime {Path(sys.executable).parent}/wk"
    done = one(f"{traced} claim --require confirmed {item}")
    assert done.one["$level"] == "confirmed"
    loaded = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "coord_kernel.sync.bus" in loaded
    for heavy in ("socket", "subprocess", "filelock", "git", "json", "redis", "hashlib", "asyncio"):
        assert heavy not in loaded
    assert "coord_kernel.sync.exchange" not in loaded


def test_a_mirror_that_stops_leaves_a_claim_tentative(
    fake: Server, tmp_path: Path, watched: Watch
) -> None:
    one = clone(tmp_path, "one", fake)
    mirror = watched(one)
    first, second = (one(f"wk new {name} -o id").out.strip() for name in "xy")
    mirror.process.send_signal(signal.SIGSTOP)
    done = one(f"wk claim {first}")
    assert done.one["$level"] == "tentative"
    assert "the mirror does not answer" in done.err
    done = one(f"wk claim --require confirmed {second}", expect=69)
    assert "the mirror does not answer; look at that process; it was released" in done.err
    mirror.process.send_signal(signal.SIGCONT)
    wait_for(one, lambda: one("ev replay --type work.confirmed").lines)
    assert one(f"wk claim {first}").one["$level"] == "confirmed"


def test_a_mirror_that_was_killed_is_not_missed(
    fake: Server, tmp_path: Path, watched: Watch
) -> None:
    one = clone(tmp_path, "one", fake)
    mirror = watched(one)
    item = one("wk new x -o id").out.strip()
    mirror.process.kill()
    mirror.process.wait()
    assert mirror.socket.exists()
    assert one(f"wk claim --require confirmed {item}").one["$level"] == "confirmed"
    watched(one)


def test_a_mirror_says_at_once_that_the_remote_is_down(
    fake: Server, tmp_path: Path, watched: Watch
) -> None:
    one = clone(tmp_path, "one", fake)
    mirror = watched(one)
    fake.kill()
    done = one("wk claim $(wk new x -o id)")
    assert done.one["$level"] == "tentative"
    assert "connection refused" in done.err
    fake.start()
    mirror.row()
    wait_for(one, lambda: one("ev replay --type work.confirmed").lines)


def test_a_store_has_one_mirror(fake: Server, tmp_path: Path, watched: Watch) -> None:
    one = clone(tmp_path, "one", fake)
    watched(one)
    assert "another mirror" in one("ev sync --watch", expect=75).err
    assert one("ev sync").one["remote"] == fake.url


def test_a_lease_of_all_stores_goes_through_the_mirror(
    fake: Server, tmp_path: Path, watched: Watch
) -> None:
    one, other = clone(tmp_path, "one", fake), clone(tmp_path, "other", fake)
    watched(one)
    watched(other)
    lease = "lease acquire --scope git env:db --ttl 10m"
    held = one(lease).one
    assert held["$level"] == "confirmed"
    assert "held by agent:one" in other(lease, expect=1).err
    one(f"lease release {held['event_id']}")
    wait_for(other, lambda: other("ev replay --type lease.released").lines)
    assert other(lease).one["$token"] > held["$token"]


def test_nothing_leaves_for_a_place_that_nobody_named(fake: Server, tmp_path: Path) -> None:
    one = clone(tmp_path, "one", None)
    one("ev emit a.b")
    (one.cwd / "coord.toml").write_text(f'project = "acme"\n[sync]\nremote = "{fake.url}"\n')
    done = one("ev sync", expect=77)
    assert "not trusted, nothing was sent; agree with" in done.err
    assert one("ev sync --watch", expect=77).err == done.err
    assert not (fake.data / "acme").exists()
    assert one("ev trust").one == {
        "setting": f"remote {fake.url}",
        "value": fake.url,
        "trusted": True,
    }
    assert one("ev sync").one["sent"] == 1


@pytest.mark.parametrize(
    ("url", "status", "said"),
    [
        ("redis://db.example.org/acme", 77, "not encrypted, and not on this machine"),
        ("redis://ada:secret@127.0.0.1/acme", 77, "leave it out, and set COORD_REDIS_PASSWORD"),
        ("redis://127.0.0.1", 2, "names no log; as in redis://127.0.0.1/acme"),
        ("redis://127.0.0.1/a/b", 2, "names no log"),
        ("redis://127.0.0.1/acme?x=y", 2, "names no log"),
        ("redis://127.0.0.1:x/acme", 2, "not a valid URL"),
        ("bird://127.0.0.1/acme", 77, "not an allowed transport"),
    ],
)
def test_urls_that_name_no_safe_place_are_refused(
    tmp_path: Path, url: str, status: int, said: str
) -> None:
    one = clone(tmp_path, "one", None)
    one("ev emit a.b")
    done = one(f"ev sync --remote '{url}'", expect=status)
    assert said in done.err
    assert "secret" not in done.err
    assert not (one.cwd / ".coord/local/remote").exists()


def test_an_engine_that_is_not_installed_is_named(tmp_path: Path) -> None:
    one = clone(tmp_path, "one", None)
    (tmp_path / "site/redis").mkdir()
    (tmp_path / "site/redis/__init__.py").write_text("raise ImportError\n")
    done = one("ev sync --remote redis://127.0.0.1:1/acme", expect=69)
    assert "no engine for redis:// is installed; pip install 'coord-kernel[redis]'" in done.err


# ---- credentials, on Redis


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server that wants a password."""
    if missing := RedisServer.missing():
        pytest.skip(f"redis: {missing} is not installed")
    server = RedisServer(tmp_path / "server")
    server.start()
    server.kill()
    acl = tmp_path / "users.acl"
    keys = "~coord:{acme}:* +evalsha +eval +script|load +xrange +xread +hget +time +ping +client"
    acl.write_text(
        f"user default off\nuser ada on >s3cret {keys} +xadd +hset +hsetnx +xrevrange +exists\n"
        "user admin on >admin ~* +@all\n"
    )
    server.options = ["--aclfile", str(acl)]
    server.launch()
    yield server
    server.kill()


def test_credentials_come_from_the_environment_or_a_private_file_and_are_stored_nowhere(
    guarded: RedisServer, tmp_path: Path
) -> None:
    one = clone(tmp_path, "one", None)
    one.env["HOME"] = str(tmp_path)
    sync = f"ev sync --remote {guarded.url}"
    one("ev emit a.b")
    assert "the server refuses" in one(sync, expect=77).err
    assert "the server refuses" in one(sync, expect=77, COORD_REDIS_PASSWORD="wrong").err
    right = "COORD_REDIS_USER=ada COORD_REDIS_PASSWORD=s3cret"
    assert one(f"{right} {sync}").one["sent"] == 1
    item = one("wk new x -o id").out.strip()
    assert one(f"{right} wk claim --require confirmed {item}").one["$token"] == 1
    file = tmp_path / "credentials"
    file.write_text("machine 127.0.0.1 login ada password s3cret\n")
    file.chmod(0o644)
    done = one("ev sync", expect=77, COORD_CREDENTIALS=str(file))
    assert f"{file}: credentials that others can read; chmod 600 {file}" in done.err
    file.chmod(0o600)
    assert one("ev sync", COORD_CREDENTIALS=str(file)).one["received"] == 0
    file.write_text("machine s3cret\nmachin\n")
    done = one("ev sync", expect=65, COORD_CREDENTIALS=str(file))
    assert "s3cret" not in done.err
    said = one("ev sync --status; ev trust --show; cat .coord/local/remote").out
    assert "s3cret" not in said
    for path in one.cwd.rglob("*"):
        if path.is_file():
            assert b"s3cret" not in path.read_bytes(), path


def test_a_server_whose_certificate_is_of_another_authority_is_refused(tmp_path: Path) -> None:
    if missing := RedisServer.missing():
        pytest.skip(f"redis: {missing} is not installed")
    trustme = pytest.importorskip("trustme")
    authority, other = trustme.CA(), trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    for name, ca in (("right", authority), ("wrong", other)):
        ca.cert_pem.write_to_path(tmp_path / f"{name}.pem")
    server = RedisServer(tmp_path / "server")
    pem, port = tmp_path / "server.pem", free_port()
    tls = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    server.options = [*tls, "--tls-cert-file", str(pem), "--tls-key-file", str(pem)]
    server.start()
    try:
        one = clone(tmp_path, "one", None)
        one("ev emit a.b")
        sync = f"ev sync --remote rediss://localhost:{port}/acme"
        done = one(f"SSL_CERT_FILE={tmp_path}/wrong.pem {sync}", expect=77)
        assert "the server's certificate is not trusted" in done.err
        assert one(f"SSL_CERT_FILE={tmp_path}/right.pem {sync}").one["sent"] == 1
        named = sync.replace("localhost", "127.0.0.1")
        done = one(f"SSL_CERT_FILE={tmp_path}/right.pem {named}", expect=77)
        assert "the server's certificate is not trusted" in done.err
    finally:
        server.kill()


# ---- several remotes, races


def test_an_arbiter_whose_place_died_is_taken_by_a_person(fake: Server, tmp_path: Path) -> None:
    git("init", "-q", "--bare", "hub.git", cwd=tmp_path)
    one, other = clone(tmp_path, "one", fake), clone(tmp_path, "other", fake)
    item = one("wk new x -o id").out.strip()
    one(f"wk claim --require confirmed {item}")
    other("ev sync")
    for shell in (one, other):
        shell("ev sync --remote ../hub.git")
    fake.kill()
    done = one("wk claim --require confirmed $(wk new y -o id)", expect=69)
    assert "connection refused" in done.err
    assert "connection refused" in one("ev sync --move-arbiter ../hub.git", expect=69).err
    assert one("ev sync --take-arbiter ../hub.git").one == {
        "arbiter": str(tmp_path / "hub.git"),
        "taken": True,
    }
    assert one("wk claim --require confirmed $(wk new z -o id)").one["$token"] == 1
    other("ev sync", expect=69)  # the other remote is down
    assert other("wk claim --require confirmed $(wk new z -o id)").one["$level"] == "confirmed"
    assert "is held by agent:one" in other(f"wk claim {item}", expect=1).err
    assert seats.GIT in one("ev replay --type coord.arbiter_moved").out
    with pytest.raises(Unreachable):
        Replica(tmp_path / "late", fake).sync()
    assert os.path.exists(one.cwd / ".coord/local/remote")
