"""coord-slack against a workspace in memory: each message once on either side, whatever dies or comes again."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO

import emulate
import pytest
from ports import free_port
from support import Json, Shell

pytest.importorskip(
    "slack_sdk", reason="slack_sdk is not installed: pip install 'coord-kernel[slack]'"
)
pytest.importorskip("websockets", reason="websockets is not installed")

from bridges.slack_double import BOT, Slack, workspace

from coord_envelope import BadData
from coord_slack.draft import handled
from coord_slack.settings import Settings
from coord_slack.text import escaped

FILE = """
bot = "$BOT_TOKEN"
app = "$APP_TOKEN"
api = "http://127.0.0.1:{port}/api/"
[people]
U1 = "human:eve"
U2 = "human:mallory"
[channels.C1]
to = ["ada", "bob"]
post = ["human:eve"]
[channels.C2]
to = ["ada"]
"""


@pytest.fixture
def slack() -> Iterator[Slack]:
    with workspace() as found:
        yield found


@pytest.fixture
def house(shell: Shell, slack: Slack) -> Shell:
    """A store with agents ada and bob, and the file of a workspace."""
    (shell.cwd / "slack.toml").write_text(FILE.format(port=slack.http))
    shell.env |= {"BOT_TOKEN": "bot-1", "APP_TOKEN": "app-1"}
    shell("msg join --as ada; msg join --as bob")
    return shell


class Running:
    """A coord-slack that runs, and what it prints."""

    def __init__(self, process: subprocess.Popen[bytes], out: IO[bytes]) -> None:
        self.process, self._out = process, out

    def until(self, kind: str, what: str | None = None) -> Json:
        """The next event of a type that it prints."""
        while True:
            line = self._out.readline()
            assert line, "it has ended"
            event: Json = json.loads(line)
            if event["type"] == kind and what in (None, event["body"].get("what")):
                return event


@contextmanager
def running(house: Shell, slack: Slack, kill: bool = False) -> Iterator[Running]:
    with house.popen("coord-slack slack.toml", stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert slack.connected.wait(30)
        try:
            yield Running(process, process.stdout)
        finally:
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            process.wait()
    assert slack.wait_alone()


def once(house: Shell, expect: int | None = 0) -> list[Json]:
    return house("coord-slack slack.toml --once", expect=expect).lines


def sent(house: Shell) -> list[tuple[str, str]]:
    events = house("ev replay --type msg.sent").lines
    return [(event["actor"]["agent_id"], event["body"]["text"]) for event in events]


def test_ten_messages_with_two_agents_restarts_and_repeated_events_each_once(
    house: Shell, slack: Slack
) -> None:
    slack.twice = True
    house("coord-slack slack.toml --once")
    with running(house, slack, kill=True) as bridge:
        root = slack.say("U1", "The login is broken")
        bridge.until("slack.handled")
        (first,) = house("msg recv --as ada").lines
        assert first["to"] == ["agent:ada", "agent:bob"]
        thread = first["refs"].get("thread_id", first["event_id"])
        for agent in ("ada", "bob"):
            house(
                f"msg send --to human:eve --to ada --to bob --thread {thread} --as {agent} --force --body 'from {agent} 1'"
            )
            bridge.until("slack.posted", "message")
        slack.say("U1", "Thanks, go on", root)
        bridge.until("slack.handled")
    # Nobody runs: an agent and a person go on.
    house(f"msg send --to bob --thread {thread} --as ada --body 'from ada 2'")
    slack.say("U1", "Are you there?", root)
    with running(house, slack, kill=True) as bridge:
        bridge.until("slack.posted", "message")
        slack.say("U1", f"<@{BOT}> hello again", root)
        slack.say("U1", "The last word", root)
        for _ in range(3):
            bridge.until("slack.handled")
        house(f"msg send --to human:eve --thread {thread} --as bob --force --body 'from bob 2'")
    # Killed at any point; its views are gone, too.
    for path in (house.cwd / ".coord/local").glob("slack.sqlite*"):
        path.unlink()
    slack.fail["chat.postMessage"] = deque([429, 0])
    once(house, expect=None)
    once(house)
    once(house)
    house(f"msg send --to ada --thread {thread} --as bob --body 'from bob 3'")
    once(house)
    ours = [
        f"{agent}: from {agent} {n}"
        for agent, n in (("ada", 1), ("bob", 1), ("ada", 2), ("bob", 2), ("bob", 3))
    ]
    assert slack.texts() == ours
    assert {m["thread_ts"] for m in slack.messages if m.get("bot_id")} == {root}
    theirs = [
        "The login is broken",
        "Thanks, go on",
        "Are you there?",
        "hello again",
        "The last word",
    ]
    assert [text for who, text in sent(house) if who == "human:eve"] == theirs
    assert len(sent(house)) == 10
    threads = house("ev replay --type msg.sent").lines
    assert {each["refs"].get("thread_id", each["event_id"]) for each in threads} == {thread}


def test_a_question_is_answered_by_two_at_once_one_counts_and_the_other_is_told(
    house: Shell, slack: Slack
) -> None:
    house("coord-slack slack.toml --once")
    with running(house, slack) as bridge:
        house("wk ask 'Deploy <now>?' --option yes --option later --to human:eve --as ada")
        bridge.until("slack.posted", "board")
        question = slack.posted("wk-")
        assert "Deploy &lt;now&gt;?" in question["text"]
        slack.twice = True
        choices = (("U2", "later"), ("U1", "yes"))
        pressing = [Thread(target=slack.press, args=(user, question, o)) for user, o in choices]
        for thread in pressing:
            thread.start()
        for thread in pressing:
            thread.join()
            bridge.until("slack.handled")
        bridge.until("slack.posted", "reply")
    once(house)
    (item,) = house("wk ls --kind question --all").lines
    won = {"human:mallory": ("later", "U1"), "human:eve": ("yes", "U2")}
    option, other = won[item["answered_by"]]
    name = item["answered_by"].partition(":")[2]
    assert item["answer"] == option
    assert f"{name} answered: {option}" in question["text"] and len(question["blocks"]) == 1
    (told,) = (m for m in slack.messages if m.get("thread_ts") == question["ts"])
    assert told["text"].startswith(f"<@{other}> {item['answered_by']} answered {option}")
    assert len(slack.texts()) == 2
    assert len(house("ev replay --type work.closed").lines) == 1


def test_mentions_make_items_claims_questions_and_show_how_things_are(
    house: Shell, slack: Slack
) -> None:
    once(house)
    root = slack.say("U1", f"<@{BOT}> new Fix the &lt;login&gt;")
    once(house)
    (item,) = house("wk ls").lines
    assert (item["title"], item["status"]) == ("Fix the <login>", "ready")
    board = slack.posted(item["id"])
    assert board["thread_ts"] == root and board["text"].endswith("ready")
    house(f"wk claim {item['id']} --as ada")
    once(house)
    house(f"wk close {item['id']} --as ada")
    once(house)
    assert board["text"].endswith("\ndone") and board["edits"] == 2
    slack.say("U1", f"<@{BOT}> status", root)
    slack.say("U1", f"<@{BOT}> claim wk-nothere1")
    slack.say("U1", f"<@{BOT}> ask eve @/etc/passwd")
    once(house)
    texts = slack.texts()
    assert any(text.startswith("<@U1>") and "wk-nothere1" in text for text in texts)
    assert sum(text.endswith("\ndone") for text in texts) == 2  # the board and the answer
    (question,) = house("wk ls --kind question").lines
    assert question["title"] == "@/etc/passwd"
    slack.say("U1", "and a word about it", root)
    once(house)
    (mail,) = (each for each in house("msg recv --as ada").lines if each["type"] == "msg.sent")
    assert mail["refs"]["work_id"] == item["work_id"]
    count = len(slack.messages)
    assert once(house) == [] and len(slack.messages) == count


def test_what_was_written_while_the_connection_was_lost_is_read_once(
    house: Shell, slack: Slack
) -> None:
    once(house)
    with running(house, slack) as bridge:
        root = slack.say("U1", "before")
        bridge.until("slack.handled")
        slack.drop()
        assert slack.wait_alone()
        slack.say("U1", "meanwhile", root)
        slack.say("U1", "meanwhile, another")
        for _ in range(2):
            bridge.until("slack.handled")
        assert slack.connected.wait(30)
        slack.say("U1", "after", root)
        bridge.until("slack.handled")
    texts = ["before", "meanwhile", "meanwhile, another", "after"]
    assert [text for _, text in sent(house)] == texts
    mail = house("ev replay --type msg.sent").lines
    threads = [each["refs"].get("thread_id", each["event_id"]) for each in mail]
    assert threads[0] == threads[1] == threads[3] != threads[2]


def test_only_people_and_channels_of_the_file_are_heard_and_nothing_else_is_kept(
    house: Shell, slack: Slack
) -> None:
    once(house)
    before = len(house("ev replay").lines)
    with running(house, slack):
        slack.say("U9", "a stranger")
        slack.say("U1", "another channel", channel="C9")
        for strange in (
            {"x": 1},
            {"event": 3},
            {"event": {"type": "message", "channel": ["C1"], "user": {}}},
        ):
            slack.send("events_api", strange)
            slack.send("interactive", strange)
        slack.send(
            "events_api",
            {
                "event": {
                    "type": "message",
                    "subtype": "message_changed",
                    "channel": "C1",
                    "user": "U1",
                    "ts": "1.0",
                    "text": "x",
                }
            },
        )
        slack.send(
            "events_api",
            {
                "event": {
                    "type": "message",
                    "bot_id": "B2",
                    "channel": "C1",
                    "user": "U1",
                    "ts": "1.0",
                    "text": "x",
                }
            },
        )
    assert once(house) == []
    assert len(house("ev replay").lines) == before
    assert slack.texts() == []


def test_read_only_posts_and_takes_nothing(house: Shell, slack: Slack) -> None:
    once(house)
    slack.say("U1", "hello")
    house("msg send --to human:eve --as ada --force --body 'to you'")
    house("coord-slack slack.toml --once --read-only")
    assert slack.texts() == ["ada: to you"]
    assert house("ev replay --type slack.received").lines == []
    once(house)
    assert [text for _, text in sent(house)] == ["to you", "hello"]


def test_nothing_from_before_it_began_is_posted_or_read(house: Shell, slack: Slack) -> None:
    house("msg send --to human:eve --as ada --force --body old")
    house("wk ask 'Old?' --to human:eve --as ada")
    assert house("coord-slack slack.toml --dry-run").lines == []
    assert [event["type"] for event in once(house)] == ["slack.joined", "slack.joined"]
    assert slack.texts() == [] and once(house) == []
    (row, _) = house("coord-slack slack.toml --status").lines
    assert (row["channel"], row["joined"], row["todo"], row["to_post"]) == ("C1", True, 0, 0)


def test_what_was_posted_before_a_death_is_found_by_its_metadata(
    house: Shell, slack: Slack
) -> None:
    once(house)
    house("msg send --to human:eve --as ada --force --body one")
    house("msg send --to human:eve --as ada --force --body two")
    slack.fail["chat.postMessage"] = deque([0])  # it is there, and the answer is lost
    assert "coord-slack: post" in house("coord-slack slack.toml --once", expect=75).err
    once(house)
    assert Counter(slack.texts()) == {"ada: one": 1, "ada: two": 1}
    house("coord-slack slack.toml --dry-run")
    assert house("coord-slack slack.toml --dry-run").lines == []


def test_what_looks_like_a_credential_or_is_huge_is_taken_as_far_as_it_may_be(
    house: Shell, slack: Slack
) -> None:
    once(house)
    secret = "ghp_" + "a" * 36
    slack.say("U1", f"use {secret}")
    slack.say("U1", "é" * 40_000)
    slack.say("U1", "<@U7|bob> see <https://example.org|this> &lt;b&gt;")
    once(house)
    assert secret not in house("ev replay").out
    (told,) = slack.texts()
    assert told.startswith("<@U1> this was not taken")
    (long, short) = sent(house)
    assert 0 < len(long[1].encode()) <= 30_000
    assert short[1] == "@bob see this (https://example.org) <b>"
    assert once(house) == []


def test_mail_to_a_person_begins_a_thread_and_the_answer_goes_to_its_sender(
    house: Shell, slack: Slack
) -> None:
    once(house)
    house("msg join --as carol")
    first = house("msg send --to human:eve --as carol --force --subject Ready --body 'It is'").one
    once(house)
    post = slack.posted("carol: Ready\nIt is")
    assert "thread_ts" not in post
    slack.say("U1", "Merge it", post["ts"])
    once(house)
    (answer,) = house("msg recv --as carol").lines
    assert answer["body"]["text"] == "Merge it"
    assert answer["refs"]["thread_id"] == first["refs"].get("thread_id", first["event_id"])
    house(f"msg reply {answer['event_id']} --as carol --body Merged")
    once(house)
    assert slack.posted("carol: Merged")["thread_ts"] == post["ts"]
    assert len(slack.texts()) == 2


def test_text_of_agents_pings_nobody(house: Shell, slack: Slack) -> None:
    once(house)
    body = "<!channel> <@U1> &amp; \\x1b[31m"
    house(f"msg send --to human:eve --as ada --force --body $'{body}'")
    once(house)
    (text,) = slack.texts()
    assert text == "ada: &lt;!channel&gt; &lt;@U1&gt; &amp;amp; \\u{1b}[31m"


def test_text_is_cut_as_it_is_sent_and_no_entity_in_two() -> None:
    for text in ("&" * 3_000, "x" + "<" * 3_000, "xx" + "&" * 3_000, "xxx" + ">&" * 2_000):
        cut = escaped(text)
        assert 2_890 < len(cut) <= 2_900
        assert re.fullmatch(r"x*(&(amp|lt|gt);)+…", cut)
    assert escaped("a;" * 1_450) == "a;" * 1_450
    reply = handled("R", escaped("<" * 900))["body"]["reply"]
    assert len(reply) <= 2_000 and reply.endswith("&lt;…")


def test_a_long_question_and_mail_fit_into_what_slack_takes(house: Shell, slack: Slack) -> None:
    once(house)
    house("wk ask - --to human:eve --as ada", stdin="& " * 90 + "\n" + "<&>" * 1_500)
    house("msg send --to human:eve --as ada --force --body -", stdin="&" * 5_000)
    once(house)
    posts = [message for message in slack.messages if message.get("bot_id")]
    assert len(posts) == 2
    assert all(len(post["blocks"][0]["text"]["text"]) <= 3_000 for post in posts)


def test_what_slack_refuses_for_good_is_noted_once_and_the_rest_goes_on(
    house: Shell, slack: Slack
) -> None:
    once(house)
    slack.refuse["chat.postMessage"] = {"bad": "msg_too_long", "Bad?": "invalid_blocks"}
    bad = house("msg send --to human:eve --as ada --force --body 'bad one'").one["event_id"]
    house("wk ask 'Bad?' --to human:eve --as ada")
    house("msg send --to human:eve --as ada --force --body 'good one'")
    done = house("coord-slack slack.toml --once", expect=65)
    assert done.err.count("\n") == 2 and f"post: {bad}: chat.postMessage: msg_too_long" in done.err
    assert slack.texts() == ["ada: good one"]
    failed = house("ev replay --type slack.failed").lines
    assert [event["body"]["error"] for event in failed] == ["msg_too_long", "invalid_blocks"]
    assert failed[0]["body"]["events"] == [bad]
    calls = slack.calls["chat.postMessage"]
    assert once(house) == [] and slack.calls["chat.postMessage"] == calls


@pytest.mark.parametrize(
    ("method", "what"), [("auth.test", "user_id"), ("apps.connections.open", "url")]
)
def test_an_answer_without_what_it_is_for_is_one_line(
    house: Shell, slack: Slack, method: str, what: str
) -> None:
    slack.answers[method] = {"ok": True}
    done = house("coord-slack slack.toml", expect=75)
    assert done.err == f"coord-slack: {method}: the answer has no {what}\n"


BAD = {
    'api = "nonsense"': "api is not a URL of http or https",
    'api = "file:///etc/passwd"': "api is not a URL of http or https",
    "api = 3": "api is not a URL of http or https",
    'api = "http://[::1"': "api is not a URL of http or https",
    "bot = 3": "bot is not text",
    'bot = ""': "bot is empty",
    "": "bot is missing",
}


@pytest.mark.parametrize("line", BAD)
def test_a_field_of_the_file_that_is_wrong_is_said_so(tmp_path: Path, line: str) -> None:
    path = tmp_path / "slack.toml"
    bot = 'bot = "$B"\napp = "$A"\n' if line.startswith("api") else 'app = "$A"\n'
    path.write_text(f"{bot}{line}\n[people]\nU1 = 'human:eve'\n[channels.C1]\nto = ['ada']\n")
    with pytest.raises(BadData, match=re.escape(BAD[line])):
        Settings(str(path)).load()


def test_a_connection_that_is_not_there_is_said_in_plain_words(house: Shell) -> None:
    (house.cwd / "slack.toml").write_text(FILE.format(port=free_port()))
    done = house("coord-slack slack.toml --once", expect=75)
    assert done.err == "coord-slack: auth.test: connection refused\n"


def test_a_command_may_have_its_rest_on_the_next_line_and_asks_nobody_unknown(
    house: Shell, slack: Slack
) -> None:
    once(house)
    slack.say("U1", f"<@{BOT}> new\nFix it")
    slack.say("U1", f"<@{BOT}> ask nobody hello")
    slack.say("U1", f"<@{BOT}> ask No:body hello")
    once(house)
    assert [item["title"] for item in house("wk ls").lines] == ["Fix it"]
    told = [text for text in slack.texts() if text.startswith("<@U1>")]
    assert told == [f"<@U1> unknown agent or person: {name}" for name in ("nobody", "No:body")]


def test_a_stop_and_a_bad_token_are_one_line_each(house: Shell, slack: Slack) -> None:
    once(house)
    house("msg send --to human:eve --as ada --force --body one")
    house("coord-patrol stop --as human:eve")
    assert [event["type"] for event in once(house)] == []
    house("coord-patrol resume --as human:eve")
    done = house("coord-slack slack.toml --once", expect=2, BOT_TOKEN="")
    assert done.err == "coord-slack: slack.toml: $BOT_TOKEN is not set; export BOT_TOKEN=…\n"
    slack.fail["apps.connections.open"] = deque([500] * 9)
    done = house("coord-slack slack.toml", expect=75)
    assert done.err.count("\n") == 1 and "apps.connections.open" in done.err
    slack.fail["auth.test"] = deque([500] * 9)
    assert "auth.test" in house("coord-slack slack.toml --once", expect=75).err


def test_the_token_is_not_sent_where_a_redirection_points(house: Shell) -> None:
    httpserver = pytest.importorskip("pytest_httpserver", reason="no pytest-httpserver")
    from werkzeug import Response

    with httpserver.HTTPServer(port=free_port()) as server:
        moved = Response("", status=302, headers={"Location": server.url_for("/other")})
        server.expect_request("/api/auth.test").respond_with_response(moved)
        server.expect_request("/other").respond_with_json({"ok": True, "user_id": "U9"})
        (house.cwd / "slack.toml").write_text(FILE.format(port=server.port))
        done = house("coord-slack slack.toml --once", expect=65)
        assert done.err == "coord-slack: auth.test: answered 302\n"
        assert [request.path for request, _ in server.log] == ["/api/auth.test"]


@pytest.mark.skipif(not emulate.command(), reason="emulate, of npm, is not installed")
def test_a_slack_of_others_has_each_message_once_also_after_a_death(
    shell: Shell, tmp_path: Path
) -> None:
    """emulate knows one user: what the bridge posts itself is told apart by its metadata."""
    from slack_sdk.web import WebClient

    seed = tmp_path / "seed.yaml"
    seed.write_text(
        "slack:\n  team: {name: W, domain: w}\n  channels: [{name: general, topic: x}]\n"
    )
    with emulate.serving("slack", seed) as url:
        web = WebClient(token="xoxb-1", base_url=f"{url}/api/")
        (channel, *_) = (each["id"] for each in web.conversations_list()["channels"])
        me = web.auth_test()["user_id"]
        (shell.cwd / "slack.toml").write_text(
            f'bot = "$BOT"\napp = "$BOT"\napi = "{url}/api/"\n[people]\n{me} = "human:eve"\n'
            f'[channels.{channel}]\nto = ["ada"]\npost = ["human:eve"]\n'
        )
        shell.env["BOT"] = "xoxb-1"
        shell("msg join --as ada")
        shell("coord-slack slack.toml --once", COORD_NOW="2026-06-01T09:00:00Z")
        root = web.chat_postMessage(channel=channel, text="The <b> is &amp; broken")["ts"]
        once(shell)
        (mail,) = shell("msg recv --as ada").lines
        assert mail["body"]["text"] == "The b is & broken"
        shell(f"msg send --to human:eve --thread {mail['event_id']} --as ada --force --body fixed")
        shell("wk ask 'Deploy?' --to human:eve --as ada")
        before = tmp_path / "before"
        shutil.copytree(shell.cwd / ".coord", before)
        once(shell)
        shutil.rmtree(shell.cwd / ".coord")
        shutil.copytree(before, shell.cwd / ".coord")  # it died before it noted what it posted
        once(shell)
        thread = web.conversations_replies(channel=channel, ts=root)["messages"]
        assert [message["text"] for message in thread[1:]] == ["ada: fixed"]
        (question,) = (
            message
            for message in web.conversations_history(channel=channel)["messages"]
            if message["ts"] != root
        )
        buttons = question["blocks"][1]["elements"]
        assert [button["text"]["text"] for button in buttons] == ["yes", "no"]
        (item,) = shell("wk ls --kind question").lines
        shell(f"wk answer {item['id']} yes --as human:eve")
        once(shell)
        (after,) = (
            message
            for message in web.conversations_history(channel=channel)["messages"]
            if message["ts"] == question["ts"]
        )
        assert "eve answered: yes" in after["text"] and len(after["blocks"]) == 1
        assert once(shell) == [] and [text for _, text in sent(shell)] == [
            mail["body"]["text"],
            "fixed",
        ]
