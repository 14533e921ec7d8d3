"""coord-notify with real servers: mail to aiosmtpd, JSON to an HTTP server; each thing is said once, or not at all."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from ports import free_port
from support import Json, Shell, check_invariants, open_store

from coord_envelope import world

pytest.importorskip(
    "apprise", reason="apprise is not installed: pip install 'coord-kernel[notify]'"
)
httpserver = pytest.importorskip("pytest_httpserver", reason="pytest-httpserver is not installed")

BEGIN = "2026-06-01T09:00:00Z"


def at(minutes: float) -> str:
    return world.format_ts(world.parse_ts(BEGIN) + int(minutes * 60_000))


class Inbox:
    """What an HTTP server got, and what it answers."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.status = 200
        server.expect_request("/", method="POST").respond_with_handler(self._answer)

    def _answer(self, _request: Any) -> Any:
        from werkzeug import Response

        return Response("", status=self.status)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server.port}/"

    @property
    def got(self) -> list[Json]:
        said = [request for request, answer in self.server.log if answer.status_code == 200]
        return [json.loads(request.get_data()) for request in said]

    @property
    def titles(self) -> list[str]:
        return [each["title"] for each in self.got]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with httpserver.HTTPServer(port=free_port()) as server:
        yield Inbox(server)


@pytest.fixture
def house(shell: Shell, inbox: Inbox) -> Shell:
    """A store whose person is human:ada, and a route to her."""
    (shell.cwd / "coord.toml").write_text('[escalation]\nperson = "human:ada"\n')
    routes(shell, 'to = ["human:ada"]')
    shell.env |= {"COORD_NOW": BEGIN, "PHONE": inbox.url}
    shell("msg join --as bob; msg join --as human:ada")
    return shell


def routes(shell: Shell, *lines: str) -> None:
    text = "\n".join(('[routes.phone]\nurl = "$PHONE"', *lines))
    (shell.cwd / "routes.toml").write_text(text + "\n")


def notify(shell: Shell, minutes: float, how: str = "--once", expect: int = 0) -> list[Json]:
    return shell(f"coord-notify routes.toml {how}", COORD_NOW=at(minutes), expect=expect).lines


def patrol(shell: Shell, minutes: float) -> None:
    shell("coord-patrol --once", COORD_NOW=at(minutes))


def test_nothing_is_sent_or_written_when_nothing_happens(house: Shell, inbox: Inbox) -> None:
    before = house("ev replay").lines
    for minutes in (0, 60, 1_000):
        assert notify(house, minutes) == notify(house, minutes, "--dry-run") == []
    house("wk new 'Fix the login' -o id | wk claim")
    assert notify(house, 1_001) == []
    assert inbox.got == []
    assert len(house("ev replay").lines) == len(before) + 2


def test_a_thousand_failures_are_one_mail_and_its_ladder(house: Shell, inbox: Inbox) -> None:
    lines = "".join(f'{{"subject":"build {n} failed","severity":"high"}}\n' for n in range(1_000))
    house("msg send --to bob --fingerprint ci/build", lines)
    patrol(house, 1)
    (sent,) = notify(house, 1)
    assert (sent["type"], sent["body"]["route"]) == ("notify.sent", "phone")
    assert notify(house, 2) == []
    patrol(house, 16)
    notify(house, 16)
    assert inbox.titles == [
        "high: build 999 failed (1,000 times)",
        "critical: build 999 failed (1,000 times)",
    ]
    mail = house("msg recv --as human:ada -o id", COORD_NOW=at(17)).out.split()[-1]
    house(f"msg ack {mail} --as human:ada", COORD_NOW=at(17))
    for minutes in (46, 100):
        patrol(house, minutes)
        assert notify(house, minutes) == []
    check_invariants(open_store(house.cwd))


def test_a_thousand_failures_sent_raw_are_one_and_the_summaries_of_the_window(
    house: Shell, inbox: Inbox
) -> None:
    routes(house, 'type = ["alert.raised", "msg.sent"]', 'severity = "high"', 'window = "1h"')
    lines = "".join('{"subject":"the build failed","severity":"high"}\n' for _ in range(1_000))
    house("msg send --to bob --fingerprint ci/build", lines)
    assert len(notify(house, 0)) == 1
    assert notify(house, 30) == []
    assert len(notify(house, 60)) == 2  # one send, of 999 events
    assert notify(house, 61) == notify(house, 500) == []
    assert inbox.titles == ["the build failed", "acme: 999 notices"]
    assert "the build failed (999 times)" in inbox.got[1]["message"]


def test_an_unacknowledged_critical_climbs_the_ladder_of_routes(house: Shell, inbox: Inbox) -> None:
    url = inbox.url
    text = "".join(
        f'[routes.{name}]\nurl = "{url}?-who={name}"\nto = ["human:ada"]\nafter = "{after}"\n'
        for name, after in (("first", "1ms"), ("second", "15m"), ("boss", "30m"))
    )
    (house.cwd / "routes.toml").write_text(text)
    (house.cwd / "routes.toml").chmod(0o600)
    house("msg send --severity critical --fingerprint disk --subject 'disk full'")
    patrol(house, 1)
    steps = [(n, [each["body"]["route"] for each in notify(house, n)]) for n in (2, 10, 16, 20)]
    assert steps == [(2, ["first"]), (10, []), (16, ["second"]), (20, [])]
    mail = house("msg recv --as human:ada -o id", COORD_NOW=at(21)).out.split()[-1]
    house(f"msg ack {mail} --as human:ada", COORD_NOW=at(21))
    assert notify(house, 31) == notify(house, 100) == []
    assert len(inbox.got) == 2


def test_mail_that_was_acked_and_a_question_that_was_answered_are_not_sent(
    house: Shell, inbox: Inbox
) -> None:
    mail = house("msg send --to human:ada --subject hello -o id").out.strip()
    question = house("wk ask 'Deploy?' --to human:ada -o id").out.strip()
    assert len(notify(house, 0, "--dry-run")) == 2
    house(f"msg ack {mail} --as human:ada")
    house(f"wk answer {question} yes --as human:ada")
    assert notify(house, 1) == [] and inbox.got == []
    house("wk ask 'Really deploy?' --to human:ada")
    assert len(notify(house, 2)) == 1
    assert inbox.titles == ["Really deploy?"]


def test_what_was_not_taken_is_tried_again_and_said_once(house: Shell, inbox: Inbox) -> None:
    house("msg send --to human:ada --subject hello")
    inbox.status = 503
    (failed,) = notify(house, 0, expect=75)
    assert (failed["type"], failed["body"]["why"]) == (
        "notify.failed",
        "json: the notification was not taken",
    )
    assert notify(house, 1, expect=75) == []
    assert notify(house, 1, "--status") == [{"route": "phone", "waiting": 1, "sent": 0}]
    inbox.status = 200
    assert [event["type"] for event in notify(house, 2)] == ["notify.sent"]
    assert notify(house, 3) == [] and inbox.titles == ["hello"]
    assert house("ev replay --type 'notify.*'").out.count(inbox.url) == 0


def test_a_redirection_is_not_followed_and_nothing_counts_as_sent(
    house: Shell, inbox: Inbox
) -> None:
    from werkzeug import Response

    moved = Response("", status=302, headers={"Location": "/other"})
    inbox.server.expect_request("/moved").respond_with_response(moved)
    inbox.server.expect_request("/other").respond_with_data("")
    house("msg send --to human:ada --subject hello")
    (failed,) = house("coord-notify routes.toml --once", expect=75, PHONE=inbox.url + "moved").lines
    assert failed["type"] == "notify.failed"
    assert {request.path for request, _ in inbox.server.log} == {"/moved"}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("json://127.0.0.1:9/, json://127.0.0.1:9/b", "a URL of 2 targets; use a route for each"),
        ("ntfy://127.0.0.1:9/one/two", "a URL of 2 targets; use a route for each"),
        ("nonsense://x", "not a URL that apprise knows; see coord-notify(8)"),
        ("nonsense", "not a URL that apprise knows; see coord-notify(8)"),
    ],
)
def test_a_route_has_one_target_that_works(house: Shell, url: str, told: str) -> None:
    done = house("coord-notify routes.toml --once", expect=65, PHONE=url)
    assert done.err == f"coord-notify: routes.toml: routes.phone: {told}\n"


def test_it_never_feeds_itself(house: Shell, inbox: Inbox) -> None:
    routes(house, 'type = ["*"]')
    house("msg send --to human:ada --subject hello")
    while notify(house, 0):
        pass
    assert inbox.titles == ["agent.registered", "agent.registered", "hello"]
    assert notify(house, 120) == []


def test_a_stop_holds_it(house: Shell, inbox: Inbox) -> None:
    house("msg send --to human:ada --subject hello")
    house("coord-patrol stop --as human:ada")
    assert notify(house, 1) == []
    house("coord-patrol resume --as human:ada")
    assert len(notify(house, 2)) == 1


def test_the_loop_sends_as_things_happen_and_a_second_one_is_refused(
    house: Shell, inbox: Inbox
) -> None:
    del house.env["COORD_NOW"]
    with house.popen("coord-notify routes.toml", stdout=subprocess.PIPE) as loop:
        assert loop.stdout
        house("msg send --to human:ada --subject one")
        assert json.loads(loop.stdout.readline())["body"]["title"] == "one"
        second = house("coord-notify routes.toml --once", expect=75)
        assert "another coord-notify runs in this store" in second.err
        house("msg send --to human:ada --subject two")
        assert json.loads(loop.stdout.readline())["body"]["title"] == "two"
        loop.terminate()
    assert loop.returncode == 0
    assert inbox.titles == ["one", "two"]


def test_one_that_was_killed_before_it_wrote_sends_again_and_one_after_does_not(
    house: Shell, inbox: Inbox
) -> None:
    """The limit of the guarantee: between the send and its event."""
    house("msg send --to human:ada --subject one")
    notify(house, 0)
    for path in (house.cwd / ".coord/local").glob("notices.sqlite*"):
        path.unlink()
    assert notify(house, 1) == [] and inbox.titles == ["one"]


def test_mail_reaches_a_mail_server(house: Shell) -> None:
    aiosmtpd = pytest.importorskip("aiosmtpd.controller", reason="aiosmtpd is not installed")
    from aiosmtpd.handlers import Message

    class Box(Message):
        def __init__(self) -> None:
            super().__init__()
            self.got: list[Any] = []

        def handle_message(self, message: Any) -> None:
            self.got.append(message)

    box = Box()
    server = aiosmtpd.Controller(box, hostname="127.0.0.1", port=free_port())
    server.start()
    try:
        url = f"mailto://127.0.0.1:{server.port}?from=coord@example.org&to=ada@example.org&format=text"
        house("msg send --to human:ada --subject 'Héllo <b>' --body $'one\\n.\\ntwo \\e[31m'")
        house("coord-notify routes.toml --once", PHONE=url)
    finally:
        server.stop()
    (message,) = box.got
    from email.header import decode_header, make_header

    assert str(make_header(decode_header(message["Subject"]))) == "Héllo <b>"
    assert "ada@example.org" in message["To"]
    text = message.get_payload(decode=True) or message.get_payload()[0].get_payload(decode=True)
    assert "one\n.\ntwo \\u{1b}[31m" in text.decode().replace("\r\n", "\n")


def test_a_route_can_be_tried(house: Shell, inbox: Inbox) -> None:
    before = house("ev replay").out
    house("coord-notify try routes.toml phone")
    assert inbox.titles == ["coord-notify"] and house("ev replay").out == before
    assert "no such route" in house("coord-notify try routes.toml x", expect=1).err
