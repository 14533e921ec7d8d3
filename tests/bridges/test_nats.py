"""The engine of nats:// and tls://: names, permissions, credentials, certificates, a cluster."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from live.engines import connected
from live.nats_server import NatsServer
from live.world import Replica, same_files, same_replay
from ports import free_port
from support import Shell

from coord_envelope.errors import Refused, TryAgain, Unreachable
from coord_kernel.sync.live.log import Credentials, Log, Moved

if missing := NatsServer.missing():
    pytest.skip(f"{missing} is not installed: coord-kernel[nats]", allow_module_level=True)

from coord_nats import names

ONE, OTHER = "k3f9x2ab", "aaaaaaaa"
Started = Callable[..., NatsServer]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Starts servers with lines of configuration; they end with the test."""
    servers: list[NatsServer] = []

    def start(config: str = "") -> NatsServer:
        servers.append(server := NatsServer(tmp_path / f"nats{len(servers)}", config))
        server.start()
        return server

    yield start
    for server in servers:
        server.kill()


def log_of(server: NatsServer, scheme: str = "nats", **credentials: str) -> Log:
    return connected(server.url.replace("nats", scheme, 1), credentials=Credentials(**credentials))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("arbiter", "coord.acme%2Eshop.arbiter"),
        (f"{ONE}/blobs", f"coord.acme%2Eshop.{ONE}.blobs"),
        (f"{ONE}/agent.a..b.~{ONE}", f"coord.acme%2Eshop.{ONE}.agent%2Ea%2E%2Eb%2E~{ONE}"),
        (f"{ONE}/agent.a%2e%2fb~{ONE}!0f", f"coord.acme%2Eshop.{ONE}.agent%2Ea%2e%2fb~{ONE}!0f"),
    ],
)
def test_a_subject_has_a_name_that_is_one_token_a_part(ours: str, theirs: str) -> None:
    assert names.subject("acme.shop", ours) == theirs
    assert names.ours(theirs) == ours


def test_a_log_with_dots_is_a_stream(started: Started) -> None:
    server = started()
    log = connected(server.url.replace("/acme", "/acme.shop"))
    log.open()
    log.put(f"{ONE}/agent.a.~{ONE}", "", b"x")
    assert [entry.subject for entry in log.read("")] == [f"{ONE}/agent.a.~{ONE}"]
    log.close()


def test_more_entries_than_a_batch_are_read(started: Started) -> None:
    log, place = log_of(started()), ""
    log.open()
    for n in range(1_100):
        place = log.put("arbiter", place, b"%d" % n)
    assert [entry.payload for entry in log.read("")] == [b"%d" % n for n in range(1_100)]
    log.close()


def test_a_reader_whose_server_is_killed_fails_at_once(started: Started) -> None:
    server = started()
    log, place = log_of(server), ""
    log.open()
    for _ in range(20):
        place = log.put("arbiter", place, b"x" * 900_000)
    entries = log.read("")
    next(entries)
    server.kill()
    with pytest.raises(Unreachable, match="connection"):
        list(entries)
    server.start()
    assert len(list(log.read(""))) == 20
    log.close()


PERMISSIONS = """
authorization {
  users = [
    { user: admin, password: "a secret" }
    { user: ada, password: "b secret", permissions: {
      publish: [
        "coord.acme.k3f9x2ab.>", "coord.acme.arbiter",
        "$JS.API.STREAM.INFO.coord-acme", "$JS.API.STREAM.MSG.GET.coord-acme",
        "$JS.API.CONSUMER.CREATE.coord-acme", "$JS.API.CONSUMER.MSG.NEXT.coord-acme.>",
        "$JS.API.CONSUMER.DELETE.coord-acme.>"
      ]
      subscribe: ["_INBOX.>"]
    } }
  ]
}
"""


def test_the_least_permissions_suffice_and_no_more_is_possible(started: Started) -> None:
    server = started(PERMISSIONS)
    ada = log_of(server, user="ada", password="b secret")
    with pytest.raises(Refused, match=r"no permission for publish to.*stream\.create"):
        ada.open()
    admin = log_of(server, user="admin", password="a secret")
    admin.open()
    ada.open()
    subject, place = f"{ONE}/agent.a~{ONE}", ""
    for n in range(20):
        place = ada.put(subject, place, b"%d" % n)
    ada.put("arbiter", "", b"x")
    assert len(list(ada.read(""))) == 21
    last = ada.last(subject)
    assert last
    assert last.at == place
    woken = threading.Event()
    ada.follow(woken.set)
    assert woken.wait(30)
    with pytest.raises(Refused, match=rf"no permission for publish to.*{OTHER}\.blobs"):
        ada.put(f"{OTHER}/blobs", "", b"x")
    ada.put("arbiter", last_of(ada, "arbiter"), b"goes on after a refusal")
    ada.close()
    admin.close()


def test_a_store_that_may_not_write_is_refused_in_one_line(started: Started, shell: Shell) -> None:
    server = started(PERMISSIONS)
    admin = log_of(server, user="admin", password="a secret")
    admin.open()
    admin.close()
    shell("ev emit note.made")
    shell.env |= {"COORD_NATS_USER": "ada", "COORD_NATS_PASSWORD": "b secret"}
    err = shell(f"ev sync --remote {server.url}", expect=77).err
    assert err.startswith(f"ev: {server.url}: no permission for publish to")
    assert err.count("\n") == 1
    assert "secret" not in err
    shell.env["COORD_NATS_PASSWORD"] = "wr0ng"
    err = shell(f"ev sync --remote {server.url}", expect=77).err
    assert err == f"ev: {server.url}: wrong credentials, or none\n"


def last_of(log: Log, subject: str) -> str:
    last = log.last(subject)
    return last.at if last else ""


@pytest.mark.parametrize(
    "credentials", [{}, {"user": "ada", "password": "wr0ng"}, {"password": "wr0ng"}]
)
def test_wrong_credentials_are_refused_and_not_shown(
    started: Started, credentials: dict[str, str]
) -> None:
    log = log_of(started(PERMISSIONS), **credentials)
    with pytest.raises(Refused, match="wrong credentials, or none") as refused:
        log.open()
    assert "wr0ng" not in str(refused.value)
    log.close()


def test_a_token_and_the_seed_of_a_key_log_in(started: Started, tmp_path: Path) -> None:
    server = started('authorization { token: "t0ken" }')
    log = log_of(server, password="t0ken")
    log.open()
    log.close()
    nkeys = pytest.importorskip("nkeys", reason="nkeys is not installed")
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    key = nkeys.from_seed(seed).public_key.decode()
    (tmp_path / "ada.nk").write_bytes(seed)
    server = started(f"authorization {{ users = [ {{ nkey: {key} }} ] }}")
    with pytest.raises(Refused):
        log_of(server).open()
    log = log_of(server, file=str(tmp_path / "ada.nk"))
    log.open()
    log.close()


def claims(signer: Any, subject: str, name: str, more: dict[str, Any]) -> str:
    """A JWT of NATS, signed by a key of its own form."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    header = part(b'{"typ":"JWT","alg":"ed25519-nkey"}')
    issuer = signer.public_key.decode()
    body = {"jti": name, "iat": 1_700_000_000, "iss": issuer, "sub": subject, "name": name}
    signed = f"{header}.{part(json.dumps(body | {'nats': more | {'version': 2}}).encode())}"
    return f"{signed}.{part(signer.sign(signed.encode()))}"


def test_a_jwt_in_a_file_of_credentials_logs_in(started: Started, tmp_path: Path) -> None:
    nkeys = pytest.importorskip("nkeys", reason="nkeys is not installed")
    kinds = {"operator": "OPERATOR", "system": "ACCOUNT", "account": "ACCOUNT", "user": "USER"}
    seeds = {
        name: nkeys.encode_seed(os.urandom(32), getattr(nkeys, f"PREFIX_BYTE_{kind}"))
        for name, kind in kinds.items()
    }
    keys = {name: nkeys.from_seed(bytearray(seed)) for name, seed in seeds.items()}
    public = {name: key.public_key.decode() for name, key in keys.items()}
    unlimited = dict.fromkeys(("subs", "conn", "leaf", "data", "payload", "imports", "exports"), -1)
    storage = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)

    def signed(by: str, name: str, **more: Any) -> str:
        return claims(keys[by], public[name], name, {"type": kinds[name].lower(), **more})

    accounts = "\n".join(
        f'{public[name]}: "{signed("operator", name, limits=unlimited | more)}"'
        for name, more in (("system", {}), ("account", storage))
    )
    server = started(
        f'operator: "{signed("operator", "operator")}"\nsystem_account: {public["system"]}\n'
        f"resolver: MEMORY\nresolver_preload: {{\n{accounts}\n}}"
    )
    user = signed("account", "user", subs=-1, data=-1, payload=-1)
    with pytest.raises(Refused):
        log_of(server).open()
    path = tmp_path / "ada.creds"
    path.write_text(
        f"-----BEGIN NATS USER JWT-----\n{user}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seeds['user'].decode()}\n------END USER NKEY SEED------\n"
    )
    log = log_of(server, file=str(path))
    log.open()
    assert log.put("arbiter", "", b"x") == "1"
    log.close()


def test_a_certificate_of_another_authority_is_refused(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "key.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    pem = tmp_path / "key.pem"
    server = started(f'tls {{ cert_file: "{pem}", key_file: "{pem}" }}')
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
    for scheme in ("tls", "nats"):
        log = log_of(server, scheme)
        with pytest.raises(Refused, match=r"certificate is not valid.*SSL_CERT_FILE"):
            log.open()
        log.close()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    log = log_of(server, "tls")
    log.open()
    assert log.put("arbiter", "", b"x") == "1"
    log.close()
    log = log_of(started(), "tls")
    with pytest.raises(Unreachable, match="offers no TLS"):
        log.open()
    log.close()


def test_a_server_without_jetstream_and_one_with_small_payloads_are_unreachable(
    started: Started,
) -> None:
    server = started("max_payload: 4096")
    log = log_of(server)
    log.open()
    with pytest.raises(Unreachable, match="max_payload of the server is 4096; set it to 1MB"):
        log.put("arbiter", "", b"x" * 4096)
    assert log.put("arbiter", "", b"x") == "1"
    log.close()
    path = server.data.with_suffix(".conf")
    server.kill()
    path.write_text(re.sub("jetstream .*", "", path.read_text()))
    server.start()
    with pytest.raises(Unreachable, match="JetStream is not enabled"):
        log.open()
    log.close()


def test_a_full_server_has_no_room_and_an_entry_is_not_half_there(started: Started) -> None:
    server = started()
    log = log_of(server)
    log.open()

    async def limit(context: Any) -> None:
        info = await context.stream_info("coord-acme")
        await context.update_stream(info.config.evolve(max_bytes=100_000))

    server.ask(limit)
    place = log.put("arbiter", "", b"x")
    with pytest.raises(Unreachable, match="no room: maximum bytes exceeded"):
        log.put("arbiter", place, b"x" * 200_000)
    assert [entry.payload for entry in log.read("")] == [b"x"]
    log.close()


def test_a_stream_that_an_administrator_made_is_a_log(started: Started) -> None:
    server = started()

    async def make(context: Any) -> None:
        await context.add_stream(name="coord-acme", subjects=["coord.acme.>"])

    server.ask(make)
    log = log_of(server)
    birth = log.open()
    assert birth.project == "acme"
    assert birth == log.open()
    server.wipe()
    server.ask(make)
    assert log.open().epoch != birth.epoch
    log.close()


@contextmanager
def cluster(tmp_path: Path) -> Iterator[tuple[NatsServer, list[NatsServer]]]:
    """Three servers with a replicated log: its leader, the others."""
    ports = [free_port() for _ in range(3)]
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
    servers = [
        NatsServer(
            tmp_path / f"n{number}",
            f'server_name: n{number}\ncluster {{ name: c, listen: "127.0.0.1:{port}", routes: [{routes}] }}',
        )
        for number, port in enumerate(ports)
    ]
    for server in servers:
        server.start()
    try:
        make_replicated(servers[0])
        leader = servers[int(leader_of(servers[0]).removeprefix("n"))]
        yield leader, [server for server in servers if server is not leader]
    finally:
        for server in servers:
            server.kill()


def test_a_cluster_whose_leader_is_killed_loses_nothing_that_was_answered(
    tmp_path: Path,
) -> None:
    with cluster(tmp_path) as (leader, others):
        log, places = log_of(others[0]), [""]
        log.open()
        for n in range(100):
            places.append(log.put("arbiter", places[-1], b"%d" % n))
        leader.kill()
        while len(places) <= 120:
            payload = b"%d" % (len(places) - 1)
            try:
                places.append(log.put("arbiter", places[-1], payload))
            except Unreachable:
                continue
            except Moved:
                last = patiently(lambda: log.last("arbiter"))
                if last and last.payload == payload:
                    places.append(last.at)
        entries = patiently(lambda: list(log.read("")))
        assert [entry.payload for entry in entries] == [b"%d" % n for n in range(120)]
        log.close()


def test_stores_on_a_cluster_whose_leader_is_killed_agree_byte_for_byte(tmp_path: Path) -> None:
    with cluster(tmp_path) as (leader, others):
        stores = [Replica(tmp_path / f"s{n}", server, f"s{n}") for n, server in enumerate(others)]
        item = stores[0].new()
        for store in (*stores, *stores):
            patiently(store.sync)
        claimed = [store.claim(item) for store in stores]
        leader.kill()
        for store in (*stores, *stores, *stores):
            store.append(2)
            patiently(store.sync)
        for store in stores:
            patiently(store.sync)
        same_replay(*stores)
        same_files(*stores)
        ticks = [event for event in stores[0].journal.replay() if event["type"] == "test.tick"]
        assert len(ticks) == 12
        assert len(stores[0].confirmed(item)) == 1
        assert stores[0].confirmed(item)[0] in claimed


def patiently(ask: Callable[[], Any]) -> Any:
    """The answer, when there is a leader."""
    while True:
        try:
            return ask()
        except (Unreachable, TryAgain):
            continue


def make_replicated(server: NatsServer) -> None:
    """The stream with three replicas, as soon as the cluster has found together."""
    import nats

    async def make(context: Any) -> None:
        for _ in range(100):
            try:
                await context.add_stream(
                    name="coord-acme", subjects=["coord.acme.>"], num_replicas=3
                )
                return
            except (nats.js.errors.APIError, nats.errors.Error):
                await asyncio.sleep(0.2)
        raise AssertionError("no cluster")

    server.ask(make)


def leader_of(server: NatsServer) -> str:
    async def look(context: Any) -> str:
        info = await context.stream_info("coord-acme")
        return str(info.cluster.leader)

    return str(server.ask(look))
