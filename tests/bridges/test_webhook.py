"""coord-webhook: what is delivered becomes events; what is wrong is refused, and costs little."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import BIN, Shell

pytest.importorskip("uvicorn", reason="not installed: coord-kernel[webhook]")
pytest.importorskip("starlette", reason="not installed: coord-kernel[webhook]")

from coord_envelope import BadData
from coord_envelope.bodies import check_body
from coord_envelope.errors import Refused
from coord_kernel import Journal
from coord_kernel.cli import web
from coord_webhook import forms, server
from coord_webhook.hook import Hooks
from coord_webhook.mapping import Emit, Received
from coord_webhook.verify import Way, signature

SECRET = "open sesame"
HOOKS = {
    "alerts": 'form = "alertmanager"\nsecret = "$SESAME"\n',
    "forge": 'form = "github"\nsecret = "$SESAME"\n',
    "ci": 'secret = "$SESAME"\nsignature = "X-Sign"\n[[emit]]\nwhere = { status = "failed" }\n'
    'type = "ci.failed"\nbody = { job = ".job.name", text = "{.job.name} on {.branch}" }\n',
    "peer": 'form = "standard"\nsecret = "$SESAME"\n',
    "plain": 'secret = "$SESAME"\n',
}
ALERT = {
    "status": "firing",
    "labels": {"alertname": "DiskFull", "severity": "page", "instance": "db1"},
    "annotations": {"summary": "the disk of\ndb1 is full", "description": "97 %"},
    "startsAt": "2026-01-17T01:00:00Z",
    "fingerprint": "5ef77f1f8a3ecfe1",
}


def signed(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def github(body: bytes, event: str = "issues", delivery: str = "1") -> dict[str, str]:
    return {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": f"sha256={signed(body)}",
    }


class Served:
    """A server of these hooks in the shell's store."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.hooks = shell.cwd / "hooks"
        self.hooks.mkdir()
        for name, text in HOOKS.items():
            (self.hooks / f"{name}.toml").write_text(text)
        argv = [f"{BIN}/coord-webhook", "serve", "hooks", "--port", "0"]
        env = shell.env | {"SESAME": SECRET}
        self._child = subprocess.Popen(
            argv, cwd=shell.cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._child.stdout
        self.url = json.loads(self._child.stdout.readline())["url"]

    def post(self, name: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        request = urllib.request.Request(f"{self.url}/hook/{name}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def stop(self) -> tuple[int, str]:
        self._child.terminate()
        _, err = self._child.communicate()
        return self._child.returncode, err


@pytest.fixture
def served(shell: Shell) -> Iterator[Served]:
    one = Served(shell)
    yield one
    one.stop()


def test_an_alert_is_raised_and_resolved_once(served: Served) -> None:
    bearer = {"Authorization": f"Bearer {SECRET}"}
    firing = json.dumps({"alerts": [ALERT, {**ALERT, "fingerprint": "b"}]}).encode()
    status, answer = served.post("alerts", firing, bearer)
    assert (status, len(answer["events"]), answer["duplicates"]) == (200, 2, 0)
    assert served.post("alerts", firing, bearer)[1] == {"events": [], "duplicates": 2}
    resolved = json.dumps({"alerts": [{**ALERT, "status": "resolved"}]}).encode()
    served.post("alerts", resolved, bearer)
    events = served.shell("ev replay").lines
    assert [event["type"] for event in events] == ["alert.raised", "alert.raised", "alert.resolved"]
    assert {event["actor"]["agent_id"] for event in events} == {"bridge:alerts"}
    body = events[0]["body"]
    assert (body["severity"], body["subject"]) == ("critical", "the disk of db1 is full")
    assert "97 %" in body["text"]
    assert events[0]["event_id"] == answer["events"][0]
    (row,) = served.shell("coord-patrol alerts").lines
    assert row["fingerprint"] == "b"


def test_what_is_not_from_who_knows_the_secret_is_refused(served: Served) -> None:
    body = b'{"action":"opened"}'
    right = github(body)
    for headers, status in (
        ({}, 401),
        ({**right, "X-Hub-Signature-256": f"sha256={signed(body, 'guess')}"}, 401),
        ({**right, "X-Hub-Signature-256": signed(body)}, 401),
        ({**right, "X-Hub-Signature-256": "sha256=é"}, 401),
        (github(b"{}"), 401),
        ({"Authorization": f"Bearer {SECRET}"}, 401),
        (right, 200),
    ):
        assert served.post("forge", body, headers)[0] == status
    assert served.post("none", body, right)[0] == 404
    assert served.post("..%2fforge", body, right)[0] == 404
    assert served.post("forge", b"not json", github(b"not json"))[0] == 400
    assert served.post("forge", b"[1]", github(b"[1]"))[0] == 400
    deep = b'{"x":' * 20_000 + b"1" + b"}" * 20_000
    assert served.post("forge", deep, github(deep))[0] == 400
    assert [event["type"] for event in served.shell("ev replay").lines] == ["github.issues.opened"]
    status, err = served.stop()
    assert SECRET not in err
    assert status in (0, -15, 143)


def test_a_delivery_that_is_sent_again_is_not_written_again(served: Served) -> None:
    """Also under another id: that is not signed, so anybody who has seen a delivery can change it."""
    body = b'{"action":"closed","issue":{"number":7}}'
    assert len(served.post("forge", body, github(body))[1]["events"]) == 1
    assert served.post("forge", body, github(body))[1] == {"events": [], "duplicates": 1}
    assert served.post("forge", body, github(body, delivery="2"))[1]["duplicates"] == 1
    for event in ("land", "issue_comment", ".."):
        again = served.post("forge", body, github(body, event, "3"))
        assert again[1] == {"events": [], "duplicates": 1}, "nor is its type signed"
    headers = {"X-Sign": f"sha256={signed(body)}"}
    assert served.post("ci", body, headers)[1] == {"events": [], "duplicates": 0}
    failed = b'{"status":"failed","job":{"name":"lint"},"branch":"main"}'
    headers = {"X-Sign": signed(failed)}
    assert len(served.post("ci", failed, headers)[1]["events"]) == 1
    assert served.post("ci", failed, headers)[1]["duplicates"] == 1
    bearer = {"Authorization": f"Bearer {SECRET}"}
    for key, duplicates in (("a", 0), ("a", 1), ("b", 0), ("", 0), ("", 0)):
        more = {"Idempotency-Key": key} if key else {}
        assert served.post("plain", b'{"n":1}', bearer | more)[1]["duplicates"] == duplicates
    last = served.shell("ev tail -n 1 --type ci.failed").one
    assert last["body"] == {"job": "lint", "text": "lint on main"}


def test_a_body_that_is_too_large_is_refused_before_it_is_read(served: Served) -> None:
    large = b" " * (10 << 20)
    host, port = served.url.removeprefix("http://").split(":")
    head = b"POST /hook/forge HTTP/1.1\r\nHost: x\r\n"
    for headers in (
        b"Content-Length: 10485760\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nA00000\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=60) as client:
            try:
                client.sendall(head + headers)
                client.sendall(large)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it was refused already
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(64).startswith(b"HTTP/1.1 413")
    assert served.post("forge", b'{"a":1}', github(b'{"a":1}'))[0] == 200
    assert len(served.shell("ev replay").lines) == 1


def test_a_large_delivery_is_kept_whole_and_a_credential_is_not(served: Served) -> None:
    body = json.dumps({"action": "opened", "text": "x" * 100_000}).encode()
    (event,) = served.post("forge", body, github(body))[1]["events"]
    shown = served.shell(f"ev show {event}").one
    assert shown["$body"]["text"] == "x" * 100_000
    leak = json.dumps({"action": "opened", "text": "AKIA" + "A1B2C3D4E5F6G7H8"}).encode()
    status, answer = served.post("forge", leak, github(leak))
    assert status == 403
    assert json.loads(answer)["todo"] == "remove it from what is sent"


def test_a_file_that_changes_is_read_again_and_a_bad_one_is_not_used(served: Served) -> None:
    bearer = {"Authorization": f"Bearer {SECRET}"}
    path = served.hooks / "plain.toml"
    path.write_text('secret = "$SESAME"\n[[emit]]\ntype = "deploy.done"\nbody = { to = ".to" }\n')
    assert served.post("plain", b'{"to":"prod"}', bearer)[0] == 200
    path.write_text('secret = "$SESAME"\n[[emit]]\ntype = "work.created"\n')
    assert served.post("plain", b'{"to":"prod"}', bearer)[0] == 400, "a type of the kernel"
    path.write_text("secret = \n")
    assert served.post("plain", b'{"to":"prod"}', bearer)[0] == 400, "as it was before"
    path.unlink()
    assert served.post("plain", b"{}", bearer)[0] == 404
    events = served.shell("ev replay").lines
    assert [(event["type"], event["body"]) for event in events] == [("deploy.done", {"to": "prod"})]


def test_who_sends_slowly_is_hung_up_on(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a head that never ends nor a body that does keeps a connection."""
    monkeypatch.setattr(web, "PATIENCE_S", 0.2)
    monkeypatch.setenv("SESAME", SECRET)
    (shell.cwd / "forge.toml").write_text(HOOKS["forge"])
    from support import open_store

    webhooks = server.Webhooks(Hooks(str(shell.cwd)), Journal(open_store(shell.cwd)))
    ready = threading.Event()
    with web.listening("127.0.0.1", 0) as listening:
        running = web.Server(web.config(webhooks.application, None), ready.set)
        thread = threading.Thread(target=running.run, args=([listening],))
        thread.start()
        assert ready.wait(60)
        address = listening.getsockname()
        for sent, answer in (
            (b"", b""),
            (b"POST /hook/forge HTTP/1.1\r\nHost: x\r\n", b""),
            (
                b"POST /hook/forge HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
                b"HTTP/1.1 408",
            ),
        ):
            with socket.create_connection(address, timeout=60) as client:
                client.sendall(sent)
                received = b""
                try:
                    while part := client.recv(1 << 16):
                        received += part
                except ConnectionResetError:
                    pass
                assert received.startswith(answer)
                assert bool(received) == bool(answer)
        running.should_exit = True
        thread.join()


def test_slow_senders_take_no_place_of_a_delivery(served: Served) -> None:
    """More bodies on their way than are received at a time: the oldest are given up."""
    host, port = served.url.removeprefix("http://").split(":")
    head = b"POST /hook/plain HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"
    bearer = {"Authorization": f"Bearer {SECRET}"}
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(server.RECEIVING + 3):
            client = socket.create_connection((host, int(port)), timeout=60)
            clients.append(stack.enter_context(client))
            client.sendall(head)
        for client in clients[:3]:
            assert client.recv(64).startswith(b"HTTP/1.1 408")
        assert served.post("plain", b'{"n":1}', bearer)[0] == 200


def test_an_event_is_delivered_to_a_url_signed_and_again_until_it_is_taken(served: Served) -> None:
    """A consumer with a URL, to a hook of the same kind: what arrives is what was sent."""
    shell = served.shell
    (shell.cwd / "out.toml").write_text(
        'name = "out"\n[match]\ntypes = ["ci.failed"]\nwhere = { job = "lint" }\n'
        f'[run]\nurl = "{served.url}/hook/peer"\nsecret = "SESAME"\nbackoff = "1ms"\n'
        '[emit]\ntype = "out.sent"\n'
    )
    shell.env["SESAME"] = SECRET
    shell("ev emit ci.failed job=lint")
    shell("ev emit ci.failed job=test")
    sent = shell("ev consume out.toml --once").one
    assert sent["type"] == "out.sent"
    events = shell("ev replay --type 'ci.*' --type 'hook.*'").lines
    assert [event["type"] for event in events] == ["ci.failed", "ci.failed", "hook.peer"]
    assert events[2]["body"] == events[0]
    assert SECRET not in shell("ev replay").out
    (shell.cwd / "out.toml").write_text(
        (shell.cwd / "out.toml").read_text().replace('"out"', '"two"').replace("/peer", "/none")
    )
    failed = shell("ev consume two.toml --once; ev consume out.toml --once", expect=1).one
    assert "answered 404" in failed["body"]["reason"]
    assert shell(f"run show {failed['refs']['run_id']}").one["attempt"] == 1, "no retry helps"


SENT = [
    (200, [], 0), (204, [], 0), (503, [200], 75), (429, [], 75), (404, [], 65), (302, [], 65), (410, [], 65),
]  # fmt: skip


@pytest.mark.parametrize(("status", "later", "exit"), SENT, ids=lambda each: str(each))
def test_an_answer_is_an_exit_status(
    shell: Shell, httpserver: Any, status: int, later: list[int], exit: int
) -> None:
    httpserver.expect_oneshot_request("/in").respond_with_data(
        "no\n", status=status, headers={"Location": "/other"}
    )
    for each in later:
        httpserver.expect_oneshot_request("/in").respond_with_data("", status=each)
    url = httpserver.url_for("/in")
    done = shell(
        f"coord-webhook send {url} --id a1 --secret KEY", stdin="{}", expect=exit, KEY="k3y"
    )
    ((request, _),) = httpserver.log
    assert request.headers["webhook-id"] == "a1"
    stamp = request.headers["webhook-timestamp"]
    assert request.headers["webhook-signature"] == signature("k3y", "a1", stamp, b"{}")
    assert ("answered" in done.err) == bool(exit)


def test_what_cannot_be_reached_may_be_tried_again(shell: Shell) -> None:
    shell("coord-webhook send http://127.0.0.1:1/x", stdin="{}", expect=69)
    shell("coord-webhook send file:///etc/passwd", stdin="{}", expect=65)
    assert (
        "$KEY is not set"
        in shell("coord-webhook send http://x --secret KEY", stdin="{}", expect=2).err
    )


def test_a_url_that_is_a_secret_is_only_named(shell: Shell, httpserver: Any) -> None:
    """Its value is in no event, no argument and no output; the job has it in its environment."""
    httpserver.expect_request("/services/T0/sesame").respond_with_data("no", status=404)
    shell.env["OUT"] = httpserver.url_for("/services/T0/sesame")
    (shell.cwd / "out.toml").write_text(
        'name = "out"\n[match]\ntypes = ["ci.failed"]\n[run]\nurl = "$OUT"\n'
    )
    shell("ev emit ci.failed")
    failed = shell("ev consume out.toml --once", expect=1)
    assert len(httpserver.log) == 1
    request = shell("ev replay --type run.requested").one["body"]
    assert request["argv"][2] == "$OUT"
    assert request["secrets"] == ["OUT"]
    assert "sesame" not in shell("ev replay").out + failed.out + failed.err
    wrong = shell("coord-webhook send '$OUT'", stdin="{}", expect=65, OUT="http://x:sesame@[").err
    assert "not a valid URL; use" in wrong


@pytest.mark.parametrize(
    ("words", "what", "status"),
    [
        ("'http://[::1/'", "not a valid URL: 'http://[::1/'", 65),
        ("'http://127.0.0.1:99999'", "not a valid URL", 65),
        ("'http://127.0.0.1:1/a b'", "write other characters as %XX", 65),
        ("http://a:b@127.0.0.1:1", "the URL holds credentials", 65),
        ("'$'", "not the name of a variable: '$'", 65),
        ("'$NOT_SET'", "$NOT_SET is not set", 2),
        ("http://127.0.0.1:1 --id 'a\nb'", "not a valid id of a delivery: 'a", 65),
        ("http://127.0.0.1:1 --id ü", "not a valid id of a delivery: 'ü'", 65),
    ],
)
def test_what_cannot_be_sent_is_one_line(shell: Shell, words: str, what: str, status: int) -> None:
    err = shell(f"coord-webhook send {words}", stdin="{}", expect=status).err
    assert what in err
    assert err.count("\n") == 1


def test_an_answer_that_is_not_http_is_one_line(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(1 << 16)
                client.sendall(b"HELLO\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        err = shell(f"coord-webhook send {url}", stdin="{}", expect=69).err
        thread.join()
    assert "the answer is not HTTP" in err
    assert err.count("\n") == 1


BODY = b'{"a":1}'
STAMP = "1768611492"
RIGHT: list[tuple[str, str, dict[str, str], str]] = [
    ("github", "", {"x-hub-signature-256": f"sha256={signed(BODY)}"}, "digest"),
    ("pagerduty", "", {"x-pagerduty-signature": f"v1=00,v1={signed(BODY)}"}, "digest"),
    ("sentry", "", {"sentry-hook-signature": signed(BODY)}, "digest"),
    ("json", "X-Sig", {"x-sig": f"sha256={signed(BODY)}"}, "digest"),
    ("gitlab", "", {"x-gitlab-token": SECRET, "x-gitlab-event-uuid": "u1"}, "u1"),
    ("alertmanager", "", {"authorization": f"Bearer {SECRET}"}, ""),
    ("json", "", {"authorization": f"bearer {SECRET}", "idempotency-key": "k"}, "k"),
    (
        "standard",
        "",
        {"webhook-id": "m1", "webhook-timestamp": STAMP, "webhook-signature": f"v1,x {signature(SECRET, 'm1', STAMP, BODY)}"},
        "m1",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "header", "headers", "name"), RIGHT, ids=lambda each: str(each)[:12]
)
def test_each_form_knows_its_signature_and_its_delivery(
    form: str, header: str, headers: dict[str, str], name: str
) -> None:
    now = int(STAMP)
    digest = hashlib.sha256(BODY).hexdigest()[:32]
    assert Way(form, SECRET, header).name(BODY, headers, now) == (
        digest if name == "digest" else name
    )
    with pytest.raises(Refused):
        Way(form, "another", header).name(BODY, headers, now)
    with pytest.raises(Refused):
        Way(form, SECRET, header).name(BODY, {}, now)
    if "authorization" not in headers and "x-gitlab-token" not in headers:
        with pytest.raises(Refused):
            Way(form, SECRET, header).name(BODY + b" ", headers, now)


def test_an_old_delivery_is_refused_and_a_secret_may_be_in_base64() -> None:
    secret = "whsec_" + base64.b64encode(b"key").decode()
    assert signature(secret, "m", "1", b"") == signature("key", "m", "1", b"")
    headers = RIGHT[-1][2]
    for late in (-301, 301):
        with pytest.raises(Refused, match="300 s"):
            Way("standard", SECRET).name(BODY, headers, int(STAMP) + late)


MADE: list[tuple[str, dict[str, str], Any, list[tuple[str, Any]]]] = [
    ("github", {"x-github-event": "push"}, {"ref": "x"}, [("github.push", {"ref": "x"})]),
    ("github", {"x-github-event": "issues"}, {"action": "opened"}, [("github.issues.opened", {"action": "opened"})]),
    ("gitlab", {}, {"object_kind": "Merge Request", "object_attributes": {"action": "open"}},
     [("gitlab.merge_request.open", None)]),
    ("pagerduty", {}, {"event": {"event_type": "incident.triggered"}}, [("pagerduty.incident.triggered", None)]),
    ("sentry", {"sentry-hook-resource": "issue"}, {"action": "created"}, [("sentry.issue.created", None)]),
    ("json", {}, {"n": 1}, [("hook.x", {"n": 1})]),
    ("alertmanager", {}, {"alerts": []}, []),
    ("alertmanager", {}, {"alerts": [{"labels": {"alertname": "A"}}]},
     [("alert.raised", {"fingerprint": "A", "group": "A", "severity": "medium", "subject": "A",
                        "text": "alertname: A", "labels": {"alertname": "A"}})]),
]  # fmt: skip


@pytest.mark.parametrize(("form", "headers", "payload", "made"), MADE)
def test_each_form_has_events_of_its_own(
    form: str, headers: dict[str, str], payload: Any, made: list[tuple[str, Any]]
) -> None:
    drafts = list(forms.drafts(form, "x", Received(payload, headers)))
    assert [
        (each["type"], want and each["body"]) for each, (_, want) in zip(drafts, made, strict=True)
    ] == made


HOSTILE = [None, 1, "x", [], [None], {}, {"alerts": 3}, {"alerts": [None]}, {"alerts": [{"labels": 3}]},
           {"alerts": [{"fingerprint": {"a": 1}, "labels": {"alertname": "\x1b[1m", "severity": "\n"}}]},
           {"object_kind": {}, "event": [], "action": 7}, {"action": "x" * 5000}, {"action": "../<script>"}]  # fmt: skip


@pytest.mark.parametrize("form", forms.FORMS)
@pytest.mark.parametrize("payload", HOSTILE, ids=lambda each: str(each)[:20])
def test_any_payload_is_an_event_or_refused(form: str, payload: Any) -> None:
    headers = {"x-github-event": "a", "sentry-hook-resource": "b"}
    try:
        made = list(
            forms.drafts(form, "x", Received(payload if isinstance(payload, dict) else {}, headers))
        )
    except BadData:
        return
    assert all(isinstance(draft["body"], dict) for draft in made)


TEMPLATES: list[tuple[Any, Any]] = [
    (".a.b", 1), (".none", None), ("$.top", "t"), ("@X-From", "me"), ("@none", None), ("plain", "plain"),
    ('.none // .a.b // "z"', 1), ('.none // "z"', "z"), ("{.a.b}-{$.top}{.none}", "1-t"), ("{.a}", '{"b":1}'),
    ([".a.b", ".none"], [1]), ({"x": ".a.b", "y": ".none"}, {"x": 1}), (True, True), (7, 7), ('{@x-from // "q"}', "me"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "value"), TEMPLATES, ids=lambda each: str(each)[:20])
def test_a_template_is_a_value_of_the_delivery(template: Any, value: Any) -> None:
    emit = Emit({"each": ".list", "type": "a.b", "body": {"v": template}})
    received = Received({"top": "t", "list": [{"a": {"b": 1}}]}, {"x-from": "me"})
    (draft,) = emit.drafts(received)
    assert draft["body"].get("v") == value


@pytest.mark.parametrize(
    "table",
    [{}, {"type": 1}, {"type": "a.b", "x": 1}, {"type": "a.b", "each": "x"}, {"type": "{.a"}, {"type": "{a}"},
     {"type": "a.b", "to": ["x y"]}, {"type": "a.b", "where": 1}, {"type": "a.b", "body": ".a["}],
)  # fmt: skip
def test_a_table_that_is_not_valid_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Emit(table)


def test_a_hook_without_a_secret_or_with_one_that_others_can_read_is_refused(shell: Shell) -> None:
    hooks = shell.cwd / "hooks"
    hooks.mkdir()
    serve = "coord-webhook serve hooks --port 0"
    assert "no hook" in shell(serve, expect=65).err
    path = hooks / "x.toml"
    for text, what, status in (
        ('form = "json"\n', "secret is missing", 65),
        ('secret = "$NOT_SET"\n', "$NOT_SET is not set", 2),
        ('secret = "$"\n', "not the name of a variable: '$'; use $NAME", 65),
        ('secret = "abc"\n', "others can read", 77),
        ('form = "svn"\nsecret = "$HOME"\n', "not a valid form", 65),
        ('secret = "$HOME"\nsignature = 1\n', "signature is the name of a header", 65),
        ('secret = "$HOME"\n[[emit]]\ntype = "x"\n[emit.body]\na = ".b["\n', "not a path", 65),
    ):
        path.write_text(text)
        path.chmod(0o644)
        assert what in shell(serve, expect=status).err
    assert "127.0.0.1" in shell("coord-webhook serve --help").out
    path.write_text('secret = "$HOME"\n')
    assert "not this machine alone" in shell(f"{serve} --host 0.0.0.0", expect=77).err


def test_a_delivery_can_be_tried(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "ci.toml"
    path.write_text(HOOKS["ci"])
    done = shell(
        f"coord-webhook try {path}",
        stdin='{"status":"failed","job":{"name":"\\u001b[1m"}}',
        SESAME="x",
    )
    assert done.one["type"] == "ci.failed"
    assert shell(f"coord-webhook try {path}", stdin='{"status":"ok"}', SESAME="x").out == ""
    assert shell("ev replay").out == ""
    for large, what in (
        (json.dumps({"x": "x" * (1 << 20)}), "exceeds 1 MiB"),
        ('{"x":' + "9" * 5000 + "}", "a number has too many digits"),
    ):
        err = shell(f"coord-webhook try {path}", stdin=large, SESAME="x", expect=65).err
        assert what in err
        assert err.count("\n") == 1
    assert "no such file" in shell("coord-webhook try none.toml", expect=65).err
    assert (
        "not NAME:VALUE" in shell(f"coord-webhook try {path} --header x", SESAME="x", expect=2).err
    )


def test_signatures_are_those_that_the_senders_document() -> None:
    """The examples in GitHub's documentation and in the specification of Standard Webhooks."""
    body = b"Hello, World!"
    known = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    way = Way("github", "It's a Secret to Everybody")
    assert way.name(body, {"x-hub-signature-256": known}, 0)
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    way = Way("standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert way.name(b'{"test": 2432232314}', headers, 1614265330) == headers["webhook-id"]


DOCUMENTED: list[tuple[str, dict[str, str], Any, list[str]]] = [
    # prometheus.io/docs/alerting/latest/configuration/#webhook_config, version 4
    ("alertmanager", {}, {
        "version": "4", "groupKey": '{}:{alertname="HighLatency"}', "truncatedAlerts": 0, "status": "firing",
        "receiver": "coord", "groupLabels": {"alertname": "HighLatency"}, "commonLabels": {"severity": "warning"},
        "commonAnnotations": {}, "externalURL": "http://alertmanager:9093",
        "alerts": [
            {"status": "firing", "labels": {"alertname": "HighLatency", "severity": "warning"},
             "annotations": {"summary": "p99 is 2 s"}, "startsAt": "2026-01-17T01:00:00.000Z",
             "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus/graph", "fingerprint": "c0ffee"},
            {"status": "resolved", "labels": {"alertname": "HighLatency"}, "annotations": {},
             "startsAt": "2026-01-17T00:00:00.000Z", "endsAt": "2026-01-17T00:30:00.000Z",
             "generatorURL": "", "fingerprint": "decaf"},
        ],
    }, ["alert.raised", "alert.resolved"]),
    # developer.pagerduty.com/docs/webhooks-overview, V3
    ("pagerduty", {}, {"event": {
        "id": "5ac64822-4adc-4fda-ade0-410becf0de4f", "event_type": "incident.priority_updated",
        "resource_type": "incident", "occurred_at": "2020-10-02T18:45:22.169Z",
        "agent": {"html_url": "https://acme.pagerduty.com/users/PLH1HKV", "id": "PLH1HKV", "type": "user_reference"},
        "client": {"name": "PagerDuty"}, "data": {"id": "PGR0VU2", "type": "incident", "title": "A little bump"},
    }}, ["pagerduty.incident.priority_updated"]),
    # docs.sentry.io/organization/integrations/integration-platform/webhooks/issue-alerts
    ("sentry", {"sentry-hook-resource": "event_alert"}, {
        "action": "triggered", "actor": {"id": "sentry", "name": "Sentry", "type": "application"},
        "data": {"event": {"title": "ReferenceError: heck is not defined"}, "triggered_rule": "Very Important"},
        "installation": {"uuid": "a8e5d37a-696c-4c54-adb5-b3f28d64c7de"},
    }, ["sentry.event_alert.triggered"]),
    # docs.gitlab.com/user/project/integrations/webhook_events
    ("gitlab", {"x-gitlab-event": "Pipeline Hook"}, {
        "object_kind": "pipeline", "object_attributes": {"id": 31, "status": "failed", "detailed_status": "failed"},
        "project": {"id": 1, "path_with_namespace": "acme/web"}, "builds": [{"id": 380, "name": "test", "status": "failed"}],
    }, ["gitlab.pipeline"]),
    ("gitlab", {"x-gitlab-event": "System Hook"}, {"event_name": "project_create", "name": "web"}, ["gitlab.project_create"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "headers", "payload", "types"), DOCUMENTED, ids=lambda each: str(each)[:14]
)
def test_payloads_as_the_senders_document_them_are_events(
    form: str, headers: dict[str, str], payload: Any, types: list[str]
) -> None:
    drafts = list(forms.drafts(form, "x", Received(payload, headers)))
    assert [draft["type"] for draft in drafts] == types
    for draft in drafts:
        check_body(draft["type"], draft["body"])
