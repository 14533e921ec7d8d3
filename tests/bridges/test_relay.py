"""coord-relay as a process: who may come in, what may be sent, and what is left when it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from live.engines import connected
from live.relay_server import RelayServer
from support import BIN, Shell

from coord_envelope.errors import Refused, Unreachable
from coord_kernel.sync.live.log import Credentials, Log

if missing := RelayServer.missing():
    pytest.skip(f"{missing} is not installed: coord-kernel[relay]", allow_module_level=True)

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as websocket

from coord_relay import frames, tokens

ONE, OTHER = "k3f9x2ab", "aaaaaaaa"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayServer]:
    server = RelayServer(tmp_path / "relay")
    server.start()
    yield server
    server.kill()


def opened(relay: RelayServer, token: str | None = None) -> Log:
    log = connected(relay.url, credentials=Credentials(password=token) if token else None)
    log.open()
    return log


def added(relay: RelayServer, *replicas: str, project: str = "acme") -> str:
    return tokens.add(f"{relay.data}/tokens", "other", project, replicas)


def test_without_a_token_nobody_comes_in(relay: RelayServer) -> None:
    for token, reason in (("", "send the header"), ("x" * 43, "unknown token"), ("é", "unknown")):
        log = connected(relay.url, credentials=Credentials(password=token))
        with pytest.raises(Refused, match=f"401: {reason}"):
            log.open()


def test_projects_are_apart(relay: RelayServer) -> None:
    mine, theirs = opened(relay), added(relay, "*", project="shop")
    mine.put("arbiter", "", b"mine")
    with pytest.raises(Refused, match="403: the token is of another project"):
        opened(relay, theirs)
    shop = connected(relay.url.replace("acme", "shop"), credentials=Credentials(password=theirs))
    assert shop.open().epoch != mine.open().epoch
    assert list(shop.read("")) == []
    shop.put("arbiter", "", b"theirs")
    assert [entry.payload for entry in mine.read("")] == [b"mine"]


def test_a_path_that_is_no_project_is_refused(relay: RelayServer) -> None:
    base, headers = relay.url.removesuffix("/acme"), {"Authorization": f"Bearer {relay.token}"}
    for path in ("/", "/..", "/%2e%2e", "/a%2fb", "/Acme", "/acme/x", f"/{'a' * 65}"):
        with pytest.raises(InvalidStatus):
            websocket(base + path, additional_headers=headers).__enter__()
    assert sorted(os.listdir(relay.data)) == ["tokens"]


def test_a_token_writes_its_replicas_and_the_arbiter(relay: RelayServer) -> None:
    mine = opened(relay, added(relay, ONE))
    mine.put(f"{ONE}/agent.a~{ONE}", "", b"x")
    mine.put("arbiter", "", b"x")
    with pytest.raises(Refused, match=f"may not write {OTHER}/blobs"):
        mine.put(f"{OTHER}/blobs", "", b"x")
    anyone = opened(relay)
    anyone.put(f"{OTHER}/blobs", "", b"x")
    with pytest.raises(Refused):  # it is named by another token
        anyone.put(f"{ONE}/blobs", "", b"x")


def test_a_store_that_may_not_write_is_refused_in_one_line(
    relay: RelayServer, shell: Shell
) -> None:
    shell("ev emit note.made")
    for token, reason in (
        (added(relay, ONE), "the relay says: the token may not write "),
        (added(relay, "-"), "the relay says: "),
        ("wrong", "the relay says 401: unknown token"),
    ):
        shell.env["COORD_WS_PASSWORD"] = token
        err = shell(f"ev sync --remote {relay.url}", expect=77).err
        assert err.startswith(f"ev: {relay.url}: {reason}")
        assert err.count("\n") == 1
        assert token not in err


def test_a_token_may_only_read(relay: RelayServer) -> None:
    reader = added(relay, "-")
    with pytest.raises(Refused, match="no log yet, and the token only reads"):
        opened(relay, reader)
    opened(relay).put("arbiter", "", b"x")
    log = opened(relay, reader)
    assert [entry.payload for entry in log.read("")] == [b"x"]
    for subject in ("arbiter", f"{ONE}/blobs"):
        with pytest.raises(Refused):
            log.put(subject, "", b"y")


def test_a_token_is_revoked_while_it_is_used(relay: RelayServer) -> None:
    log, path = opened(relay), relay.data / "tokens"
    log.put("arbiter", "", b"x")
    path.write_text("")
    with pytest.raises(Refused, match="revoked"):
        log.put("arbiter", "1", b"y")
    with pytest.raises(Refused):
        log.open()


def test_a_broken_file_of_tokens_revokes_none_and_is_reported(tmp_path: Path) -> None:
    path = str(tmp_path / "tokens")
    secret = tokens.add(path, "ada", "acme", ["*"])
    found = tokens.Tokens(path)
    Path(path).write_text("ada acme\n")
    assert found.find("acme", secret)
    os.unlink(path)
    assert not found.find("acme", secret)


@pytest.mark.parametrize(
    ("line", "mode", "status", "message"),
    [
        ("ada acme * 00", 0o600, 65, "line 1: not a token; NAME PROJECT REPLICAS SHA256"),
        (f"ada acme a,b {'0' * 64}", 0o600, 65, "line 1: not a token"),
        (
            f"# ok\n\nada acme - {'0' * 64} # of ada",
            0o640,
            77,
            "others can read or write it; chmod 600",
        ),
        (None, 0, 74, "no such file or directory; `coord-relay token` makes a token"),
    ],
)
def test_a_relay_starts_with_sound_tokens_only(
    shell: Shell, line: str | None, mode: int, status: int, message: str
) -> None:
    if line is not None:
        (shell.cwd / "tokens").write_text(line + "\n")
        (shell.cwd / "tokens").chmod(mode)
    done = shell("coord-relay serve .", expect=status)
    assert done.err.startswith("coord-relay: ./tokens")
    assert message in done.err
    assert done.err.count("\n") == 1


def test_the_address_of_others_needs_a_certificate(shell: Shell) -> None:
    shell("coord-relay token . ada --project acme")
    done = shell("coord-relay serve . --host 0.0.0.0", expect=77)
    assert "0.0.0.0 is not this machine alone, and there is no certificate" in done.err
    (shell.cwd / "cert").write_text("x")
    for cert, status, what in (
        ("none", 74, "none: no such file or directory"),
        ("cert", 65, "cert: not a certificate in PEM, or cert is not its key"),
    ):
        done = shell(f"coord-relay serve . --cert {cert} --key cert", expect=status)
        assert done.err == f"coord-relay: {what}\n"
    assert "--cert and --key go together" in shell("coord-relay serve . --cert x", expect=2).err


def test_a_token_is_shown_once_and_only_its_digest_is_kept(shell: Shell) -> None:
    row = shell(f"coord-relay token r ada --project acme --replica {ONE}").one
    kept = (shell.cwd / "r/tokens").read_text()
    assert row["token"] not in kept
    assert kept.startswith(f"ada acme {ONE} ")
    assert (shell.cwd / "r/tokens").stat().st_mode & 0o777 == 0o600
    for wrong in ("Ada --project acme", "ada --project a/b", "ada --project acme --replica K"):
        assert "not a" in shell(f"coord-relay token r {wrong}", expect=65).err


def test_pages_of_a_browser_are_refused(relay: RelayServer) -> None:
    headers = {"Authorization": f"Bearer {relay.token}", "Origin": "https://x.example"}
    with pytest.raises(InvalidStatus) as refused:
        websocket(relay.url, additional_headers=headers).__enter__()
    assert refused.value.response.status_code == 403


def raw(relay: RelayServer) -> ClientConnection:
    headers = {"Authorization": f"Bearer {relay.token}"}
    return websocket(relay.url, additional_headers=headers, compression=None, max_size=None)


OPEN = frames.pack({"do": "open", "project": "acme"})
BAD: list[tuple[bytes | str, str]] = [
    ("text", "not a binary frame"),
    *(
        (frame, "not a JSON object before the first line feed")
        for frame in (b"", b"\xff\xfe\n", b"[1]\n", b"[" * 100_000, b"open")
    ),
    (b'{"do":"drop"}\n', "no such request: drop"),
    (b'{"do":["open"]}\n', "no such request"),
    (b'{"do":"open","project":7}\n', "project is not a name"),
    (b'{"do":"put","subject":"../x","expected":0}\nx', "not a valid subject"),
    (b'{"do":"put","subject":"k3f9x2ab/A b","expected":0}\nx', "not a valid subject"),
    (b'{"do":"put","subject":"arbiter","expected":-1}\nx', "expected is not a place"),
    (b'{"do":"put","subject":"arbiter","expected":true}\nx', "expected is not a place"),
    (b'{"do":"put","subject":"arbiter"}\nx', "expected is not a place"),
    (b'{"do":"read","at":"1"}\n', "at is not a place"),
    (b'{"do":"read","at":1e300}\n', "at is not a place"),
]


def test_a_bad_frame_is_answered_and_the_connection_goes_on(relay: RelayServer) -> None:
    with raw(relay) as connection:
        connection.send(OPEN)
        connection.recv()
        for frame, what in BAD:
            connection.send(frame)
            head, _ = frames.unpack(connection.recv())
            assert head["error"] == "bad_input"
            assert what in head["what"]
        connection.send(frames.pack({"do": "put", "subject": "arbiter", "expected": 0}, b"x"))
        assert frames.unpack(connection.recv())[0] == {"at": 1}


def test_open_is_the_first_request(relay: RelayServer) -> None:
    with raw(relay) as connection:
        connection.send(frames.pack({"do": "now"}))
        assert frames.unpack(connection.recv())[0]["what"] == "open is the first request"


def test_a_frame_that_is_too_large_ends_its_connection_alone(relay: RelayServer) -> None:
    with raw(relay) as connection, raw(relay) as neighbour:
        connection.send(b"x" * (frames.LARGEST_REQUEST + 1))
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv()
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1009
        neighbour.send(OPEN)
        assert "epoch" in frames.unpack(neighbour.recv())[0]


def test_who_sends_too_much_waits() -> None:
    from coord_relay.gate import BURST, RATE, Pace

    pace = Pace()
    assert pace.seconds(BURST, 100.0) == 0
    assert pace.seconds(RATE // 2, 100.0) == 0.5
    assert pace.seconds(0, 100.25) == 0.25
    assert pace.seconds(RATE, 200.0) == 0


def test_one_token_has_so_many_connections(
    relay: RelayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coord_relay import gate

    monkeypatch.setattr(gate, "CONNECTIONS", 1)
    door = gate.Gate(tokens.Tokens(f"{relay.data}/tokens"))
    headers = {"authorization": f"Bearer {relay.token}"}
    badge = door.enter("acme", headers)
    assert isinstance(badge, gate.Badge)
    with door.inside(badge):
        denied = door.enter("acme", headers)
        assert isinstance(denied, gate.Denied)
        assert denied.status == 429
    assert isinstance(door.enter("acme", headers), gate.Badge)


def test_it_says_that_it_is_well(relay: RelayServer) -> None:
    url = relay.url.replace("ws:", "http:").removesuffix("/acme")
    with urllib.request.urlopen(f"{url}/healthz") as answer:
        assert json.load(answer) == {"status": "ok"}
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{url}/acme")


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A directory with a certificate for 127.0.0.1, its key, and its authority."""
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(tmp_path / "cert.pem", append=True)
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    return tmp_path


def test_a_certificate_of_another_authority_is_refused(
    authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--cert", f"{authority}/cert.pem", "--key", f"{authority}/key.pem")
    server = RelayServer(authority / "relay", *options)
    server.start()
    try:
        assert server.url.startswith("wss://")
        for wrong in ("/nonexistent", f"{authority}/other.pem"):
            monkeypatch.setenv("SSL_CERT_FILE", wrong)
            with pytest.raises(Refused, match=r"certificate is not valid.*SSL_CERT_FILE"):
                opened(server)
        monkeypatch.setenv("SSL_CERT_FILE", f"{authority}/ca.pem")
        log = opened(server)
        assert log.put("arbiter", "", b"x") == "1"
        plain = connected(server.url.replace("wss:", "ws:"), credentials=Credentials(password="x"))
        with pytest.raises(Unreachable):
            plain.open()
        context = ssl.create_default_context(cafile=f"{authority}/ca.pem")
        url = server.url.replace("wss:", "https:").replace("/acme", "/healthz")
        for _ in range(3):  # whoever hangs up during TLS ends nothing
            with urllib.request.urlopen(url, context=context) as answer:
                assert answer.status == 200
        # What a program without a store publishes reaches the log, unencrypted within the relay.
        url = server.url.replace("wss:", "https:") + "/publish"
        draft = urllib.request.Request(url, b'{"type":"note.made","body":{}}')
        draft.add_header("Authorization", f"Bearer {server.token}")
        with urllib.request.urlopen(draft, context=context) as answer:
            event = json.load(answer)["event_id"].encode()
        arrived = threading.Event()
        log.follow(arrived.set)
        while not any(event in entry.payload for entry in log.read("")):
            assert arrived.wait(60)
            arrived.clear()
        log.close()
    finally:
        server.kill()


def test_a_term_ends_it_when_what_was_put_is_on_the_disk(relay: RelayServer) -> None:
    log = opened(relay)
    log.put("arbiter", "", b"x")
    assert relay.stop() == -signal.SIGTERM
    relay.start()
    assert [entry.payload for entry in opened(relay).read("")] == [b"x"]


def test_systemd_hears_when_it_is_ready_alive_and_stopping(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(60)
        tokens.add(f"{tmp_path}/tokens", "ada", "acme", ["*"])
        env = {**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}
        argv = [f"{BIN}/coord-relay", "serve", str(tmp_path), "--port", "0"]
        with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE) as child:
            heard = [manager.recv(100) for _ in range(3)]
            child.terminate()
            while (last := manager.recv(100)) == b"WATCHDOG=1":
                pass
    assert b"READY=1" in heard
    assert b"WATCHDOG=1" in heard
    assert last == b"STOPPING=1"


def test_the_token_of_a_store_is_nowhere(relay: RelayServer, shell: Shell) -> None:
    password = relay.url.replace("://", f"://ada:{relay.token}@")
    assert relay.token not in shell(f"ev sync --remote {password}", expect=77).err
    secret = shell.cwd / "credentials"
    secret.write_text(f"machine 127.0.0.1 login ada password {relay.token}\n")
    secret.chmod(0o600)
    shell.env["COORD_CREDENTIALS"] = str(secret)
    shell("ev emit note.made")
    said = [shell(f"ev sync --remote {relay.url}"), shell("ev sync --status"), shell("ev trust")]
    assert said[0].one["sent"] == 1
    assert not [done for done in said if relay.token in done.out + done.err]
    files = [path for path in (shell.cwd / ".coord").rglob("*") if path.is_file()]
    files += [path for path in relay.data.rglob("*") if path.is_file()]
    assert not [path for path in files if relay.token.encode() in path.read_bytes()]
    secret.chmod(0o644)
    assert "chmod 600" in shell("ev sync", expect=77).err


def test_the_man_page_has_every_option(shell: Shell) -> None:
    page = (Path(__file__).parents[2] / "bridges/relay/coord-relay.8").read_text()
    helps = "".join(shell(f"coord-relay {words} --help").out for words in ("", "serve", "token"))
    options = set(re.findall(r"--[a-z][a-z-]+", helps))
    assert {"--host", "--replica", "--version"} <= options
    assert {name for name in options if name.replace("-", "\\-") not in page} == set()


def test_a_taken_port_and_a_second_relay_are_one_line(relay: RelayServer, shell: Shell) -> None:
    opened(relay)
    port = relay.url.rpartition(":")[2].removesuffix("/acme")
    done = shell(f"coord-relay serve {relay.data} --port {port}", expect=74)
    assert done.err == f"coord-relay: 127.0.0.1:{port}: address already in use\n"
    done = shell(f"coord-relay serve {relay.data} --port 0", expect=75)
    assert "another relay has it open" in done.err
