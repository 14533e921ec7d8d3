"""coord-patrol about people: alerts that climb until one takes them, questions that get their default, once."""

from __future__ import annotations

import json
import subprocess
from collections import Counter

import pytest
from support import Json, Shell, check_invariants, git, open_store

from coord_envelope import world

BEGIN = "2026-06-01T09:00:00Z"


def at(minutes: float) -> str:
    return world.format_ts(world.parse_ts(BEGIN) + int(minutes * 60_000))


def around(shell: Shell, minutes: float, how: str = "--once") -> list[Json]:
    return shell(f"coord-patrol {how}", COORD_NOW=at(minutes)).lines


def told(events: list[Json]) -> list[tuple[str, str]]:
    return [
        (event["body"]["level"], event["body"]["route"])
        for event in events
        if event["type"] == "alert.notified"
    ]


@pytest.fixture
def house(shell: Shell) -> Shell:
    """A store whose person is human:ada."""
    (shell.cwd / "coord.toml").write_text('[escalation]\nperson = "human:ada"\n')
    shell.env["COORD_NOW"] = BEGIN
    shell("msg join --as bob")
    return shell


def test_an_alert_climbs_until_its_mail_is_acknowledged(house: Shell) -> None:
    house("msg send --to bob --severity medium --subject 'the tests are red'")
    assert around(house, 0.4) == []
    assert told(around(house, 0.5)) == [("medium", "human:ada")]
    assert told(around(house, 15.5)) == [("high", "human:ada")]
    assert around(house, 30) == []
    (listed,) = house("coord-patrol alerts", COORD_NOW=at(30)).lines
    assert (listed["severity"], listed["level"], listed["notified"]) == (
        "medium",
        "high",
        ["human:ada"],
    )
    mail = house("msg recv --as human:ada", COORD_NOW=at(30)).lines[-1]
    assert mail["body"]["subject"] == "high: the tests are red"
    house(f"msg ack {mail['event_id']} --as human:ada", COORD_NOW=at(30))
    assert around(house, 45.5) == around(house, 10_000) == []
    assert house("coord-patrol alerts").lines == []
    (listed,) = house("coord-patrol alerts --all").lines
    assert listed["acked_by"] == "human:ada"
    check_invariants(open_store(house.cwd))


def test_an_ack_by_who_had_the_message_ends_it_too(house: Shell) -> None:
    sent = house("msg send --to bob --severity high --subject 'disk full' -o id").out.strip()
    house(f"msg ack {sent} --as bob")
    assert around(house, 60) == []


def test_mail_that_is_acked_as_it_is_received_counts(house: Shell) -> None:
    house("msg send --to bob --severity high --subject 'disk full'")
    house("msg recv --ack --as bob")
    assert around(house, 60) == []


def test_a_thousand_failures_of_one_kind_are_one_mail_and_one_alert(house: Shell) -> None:
    lines = "".join(f'{{"subject":"build {n} failed","severity":"high"}}\n' for n in range(1_000))
    sent = house("msg send --to bob --fingerprint ci/build", lines).lines
    kinds = Counter(event["type"] for event in sent)
    assert kinds == {"msg.sent": 1, "alert.raised": 999}
    again = house("msg send --to bob --fingerprint ci/build --severity high --subject again").one
    assert again["type"] == "alert.raised"
    assert len(house("msg recv --as bob").lines) == 1
    (listed,) = house("coord-patrol alerts").lines
    assert (listed["count"], listed["group"]) == (1_001, "ci")
    (notified,) = around(house, 1)
    assert notified["body"]["count"] == 1_001


def test_what_is_worse_or_to_somebody_else_is_mail_again(house: Shell) -> None:
    house("msg join --as eve")
    send = "msg send --fingerprint disk --subject full"
    lines = [f"--to bob --severity {how}" for how in ("medium", "medium", "high", "low")]
    kinds = [
        house(f"{send} {line}").one["type"]
        for line in [*lines, "--to bob --to eve --severity high"]
    ]
    assert kinds == ["msg.sent", "alert.raised", "msg.sent", "alert.raised", "msg.sent"]
    assert [event["to"] for event in house("msg recv --as eve").lines] == [["agent:eve"]]


def test_a_message_with_a_key_is_written_once_whatever_it_became(house: Shell) -> None:
    send = "msg send --to bob --fingerprint disk --severity high --subject full"
    first = house(f"{send} --key a").one
    second = house(f"{send} --key b").one
    assert (first["type"], second["type"]) == ("msg.sent", "alert.raised")
    for key, event in (("a", first), ("b", second)):
        again = house(f"{send} --key {key}").one
        assert (again["event_id"], again["$dup"]) == (event["event_id"], True)
    house(f"{send}ish --key a", expect=65)


def test_without_a_recipient_only_the_escalation_tells(house: Shell) -> None:
    raised = house("msg send --severity high --fingerprint disk --subject 'disk full'").one
    assert (raised["type"], "to" in raised) == ("alert.raised", False)
    assert told(around(house, 1)) == [("high", "human:ada")]
    assert "--severity" in house("msg send --to bob --fingerprint disk --subject x", expect=65).err
    line = "msg send --to bob --severity low --subject x --fingerprint"
    assert "control character" in house(f"{line} $'a\\nb'", expect=65).err
    assert "is empty" in house(f"{line} ' '", expect=65).err
    assert "to is missing" in house("msg send --subject x", expect=65).err


def test_closing_what_it_is_about_resolves_it(house: Shell) -> None:
    work = house("wk new 'Mend the disk' -o id").out.strip()
    house(f"msg send --to bob --severity high --subject 'disk full' --work {work}")
    assert told(around(house, 1)) == [("high", "human:ada")]
    house(f"wk close {work}")
    assert [event["type"] for event in around(house, 16)] == ["alert.resolved"]
    assert around(house, 100) == []
    house(
        f"msg send --to bob --severity high --subject 'disk full' --work {work}", COORD_NOW=at(101)
    )
    assert [event["type"] for event in around(house, 102)] == ["alert.resolved"]


def test_routes_and_times_are_those_of_the_project(house: Shell) -> None:
    (house.cwd / "coord.toml").write_text(
        '[escalation]\nwait = "0ms"\nlouder = ["1m"]\nlow = ["chan:ops"]\nmedium = ["bob", "human:eve"]\n'
    )
    house("msg send --severity low --fingerprint x --subject x")
    assert told(around(house, 0)) == [("low", "chan:ops")]
    assert told(around(house, 1)) == [("medium", "agent:bob"), ("medium", "human:eve")]
    assert around(house, 500) == []


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("louder = ['1m', '1m', '1m']", "not a valid setting: escalation.louder"),
        ("high = ['group:ops']", "is a group"),
        ("high = 'human:ada'", "not a valid setting: escalation.high"),
        ("person = 'Ada L'", "escalation.person"),
        ("wait = 'soon'", "escalation.wait"),
        ("colour = 1", "escalation.colour"),
    ],
)
def test_bad_settings_are_named(house: Shell, setting: str, says: str) -> None:
    (house.cwd / "coord.toml").write_text(f"[escalation]\n{setting}\n")
    done = house("coord-patrol --once", expect=None)
    assert (done.status in (2, 65), says in done.err) == (True, True), done.err


def test_the_last_person_is_of_the_settings_then_git_then_the_user(shell: Shell) -> None:
    shell("msg send --severity high --fingerprint x --subject x", COORD_NOW=BEGIN)

    def person(**env: str) -> str:
        shell.env["GIT_CONFIG_GLOBAL"] = "/dev/null"
        (event,) = shell("coord-patrol --dry-run", "", 0, COORD_NOW=at(1), **env).lines
        return str(event["to"][0])

    git("config", "--unset-all", "user.name", cwd=shell.cwd) if _named(shell) else None
    assert person(USER="eve") == "human:eve"
    git("config", "user.name", "Ada Lovelace", cwd=shell.cwd)
    assert person(USER="eve") == "human:ada-lovelace"
    (shell.cwd / "coord.toml").write_text('[patrol]\noverseer = "human:bob"\n')
    assert person() == "human:bob"
    (shell.cwd / "coord.toml").write_text('[escalation]\nperson = "human:zoe"\n')
    assert person() == "human:zoe"


def _named(shell: Shell) -> bool:
    config = ["git", "config", "--local", "--get", "user.name"]
    return subprocess.run(config, cwd=shell.cwd, capture_output=True).returncode == 0


def test_two_patrols_at_once_do_each_thing_once(house: Shell) -> None:
    for n in range(3):
        house(f"msg send --severity high --fingerprint f{n} --subject x")
        house(f"wk ask 'Deploy {n}?' --to human:ada --for 2h --on-timeout no")
    house.env["COORD_NOW"] = at(121)
    running = [house.popen("coord-patrol --once", stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    notified = house("ev replay --type alert.notified").lines
    assert Counter(event["body"]["fingerprint"] for event in notified) == {
        "f0": 1,
        "f1": 1,
        "f2": 1,
    }
    closed = house("ev replay --type work.closed").lines
    assert len({event["refs"]["work_id"] for event in closed}) == len(closed) == 3
    assert {event["actor"]["agent_id"] for event in closed} == {"bridge:wk"}
    assert around(house, 122) == []


def test_a_question_that_is_due_wakes_the_patrol_and_a_stop_holds_it(house: Shell) -> None:
    asked = house("wk ask 'Deploy?' --to human:ada --for 2h --on-timeout no -o id").out.strip()
    assert around(house, 119) == []
    (planned,) = around(house, 121, "--dry-run")
    assert (planned["refs"]["work_id"], planned["body"]["answer"]) == (asked, "no")
    house("coord-patrol stop --as human:ada")
    around(house, 121)
    assert house("wk ls --kind question").one["status"] == "ready"
    house("coord-patrol resume --as human:ada")
    around(house, 121)
    assert house("wk ls --kind question --all").one["answer"] == "no"


def test_the_loop_wakes_for_an_alert_and_for_an_ack(house: Shell) -> None:
    (house.cwd / "coord.toml").write_text('[escalation]\nperson = "human:ada"\nwait = "0ms"\n')
    loop = house.popen("coord-patrol", stdout=subprocess.PIPE)
    assert loop.stdout
    house("msg send --severity high --fingerprint x --subject x")
    notified = json.loads(loop.stdout.readline())
    assert (notified["type"], notified["to"]) == ("alert.notified", ["human:ada"])
    loop.terminate()
    assert loop.wait() == 0
    loop.stdout.close()


def test_alerts_are_shown_to_people_and_to_agents(house: Shell) -> None:
    house("msg send --severity high --fingerprint disk --subject 'disk full'")
    around(house, 1)
    lines = house("coord-patrol alerts -o table --color never", COORD_NOW=at(2)).out.splitlines()
    assert lines[0].split() == ["ALERT", "SEVERITY", "NOW", "COUNT", "LAST", "NOTIFIED", "SUBJECT"]
    assert lines[1].split()[:4] == ["disk", "high", "high", "1"]
    brief = house("coord-patrol alerts -o brief", COORD_NOW=at(2)).out
    assert brief == "disk high 1 time high · disk full\n"
    (mail,) = house("msg recv --as human:ada").lines
    short = mail["body"]["text"].partition("`ev show ")[2].partition("`")[0]
    assert house(f"ev show {short}").one["body"]["fingerprint"] == "disk"
