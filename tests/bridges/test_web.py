"""coord-web without a browser: who may ask, what is answered, and the pure parts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from support import Shell
from web_server import WebServer, ask, cookie

if missing := WebServer.missing():
    pytest.skip(f"{missing} is not installed: coord-kernel[web]", allow_module_level=True)

from coord_envelope import ids, world
from coord_envelope.errors import Usage
from coord_kernel.cli.tools import failure
from coord_shop.history import Mark
from coord_web import graph, timeline
from coord_web.acts import ACTS, DONE, Form
from coord_web.render import ENVIRONMENT, anchor, lines, plain, prose
from coord_web.tree import tree

HOUR = timeline.HOUR_MS


@pytest.fixture
def web(shell: Shell) -> Iterator[WebServer]:
    shell("msg join --as human:eve")
    server = WebServer(shell)
    server.start()
    yield server
    server.stop()


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found
    return found[1]


def test_nothing_is_shown_without_the_token_or_to_another_origin(web: WebServer) -> None:
    page = f"{web.base}/s/acme/"
    assert ask(page)[0] == 401
    assert "token" in ask(page)[2]
    assert ask(f"{web.base}/?token=wrong")[0] == 401
    status, headers, _ = ask(f"{web.base}//evil.example/?token={web.token}&at=2h")
    assert (status, headers["location"]) == (303, "/evil.example/?at=2h")
    status, headers, _ = ask(web.url)
    assert (status, headers["location"]) == (303, "/")
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=lax" in headers["set-cookie"]
    mine = headers["set-cookie"].partition(";")[0]
    assert web.token not in mine
    assert ask(page, Cookie=mine)[0] == 200
    elsewhere: list[dict[str, Any]] = [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": f"http://127.0.0.1:{web.port + 1}"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"},
    ]
    for more in elsewhere:
        assert ask(page, Cookie=mine, **more)[0] in (403, 421), more
    followed: dict[str, Any] = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask(page, Cookie=mine, **followed)[0] == 200, "a link from elsewhere may be followed"
    for path in ("/s/acme/-/stream?page=overview", "/s/acme/-/find?q=x", "/s/none/", "/s/acme/x"):
        assert ask(f"{web.base}{path}")[0] == 401


def test_each_answer_forbids_what_is_not_ours(web: WebServer) -> None:
    _, headers, page = ask(f"{web.base}/s/acme/", Cookie=cookie(web))
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "<script>" not in page
    assert not re.search(r'\son\w+="', page)
    assert not re.search(r'\sstyle="', page)
    assert not re.search(r'(src|href)="(?!/|#|\?)', page), "nothing is loaded from elsewhere"


def test_a_write_needs_cookie_origin_and_the_token_of_the_page(
    web: WebServer, shell: Shell
) -> None:
    mine, url = cookie(web), f"{web.base}/s/acme/do/new"
    _, _, page = ask(f"{web.base}/s/acme/board", Cookie=mine)
    fields = {"csrf": csrf(page), "title": "By form", "back": "/s/acme/board"}
    data, ours = urlencode(fields).encode(), {"Origin": web.base}
    assert ask(url, data)[0] == 401
    assert ask(url, data, Cookie=mine)[0] == 403, "without an origin"
    assert ask(url, data, Cookie=mine, Origin="http://evil.example")[0] == 403
    wrong = urlencode({**fields, "csrf": "0" * 40}).encode()
    assert ask(url, wrong, Cookie=mine, **ours)[0] == 403
    assert ask(url, data, Cookie=mine, Content_Type="text/plain", **ours)[0] == 400
    assert ask(url, b"x=" + b"y" * 300_000, Cookie=mine, **ours)[0] in (400, 413)
    assert ask(url, Cookie=mine)[0] == 405
    assert shell("wk ls").lines == []
    status, headers, _ = ask(url, data, Cookie=mine, **ours)
    assert status == 303
    assert headers["location"].startswith("/s/acme/board?note=")
    _, _, page = ask(f"{web.base}{headers['location']}", Cookie=mine)
    assert "Created" in page
    assert [row["title"] for row in shell("wk ls").lines] == ["By form"]
    away = urlencode({**fields, "back": "//evil.example/"}).encode()
    assert ask(url, away, Cookie=mine, **ours)[1]["location"].startswith("/s/acme/?note=")
    bad = urlencode({**fields, "title": " "}).encode()
    _, _, said = ask(url, bad, Cookie=mine, Accept="application/json", **ours)
    assert "nothing was given for title" in said
    shell("wk new x")  # what a tool refuses is said
    refused = urlencode({"csrf": fields["csrf"], "id": "wk-00000000"}).encode()
    status, _, said = ask(
        f"{web.base}/s/acme/do/claim", refused, Cookie=mine, Accept="application/json", **ours
    )
    assert (status, json.loads(said)["ok"], "no such work item" in said) == (200, False, True)


def test_read_only_shows_no_form_and_takes_no_write(shell: Shell) -> None:
    shell("wk new x")
    server = WebServer(shell, "--read-only")
    server.start()
    mine = cookie(server)
    for path in ("", "board", "mail", "jobs"):
        _, _, page = ask(f"{server.base}/s/acme/{path}", Cookie=mine)
        assert 'method="post"' not in page
    status, _, _ = ask(f"{server.base}/s/acme/do/new", b"title=y", Cookie=mine, Origin=server.base)
    assert status == 403
    assert server.stop() in (0, -15)


def test_the_present_and_the_past_of_a_page(web: WebServer, shell: Shell) -> None:
    mine = cookie(web)
    item = shell("wk new 'Write the parser' -o id").out.strip()
    made = shell(f"wk show {item}").one["created"]["ts"]
    shell(f"wk claim {item} && wk close {item} --note done")
    _, _, now = ask(f"{web.base}/s/acme/item/{item}", Cookie=mine)
    assert "Reopen" in now
    status, _, then = ask(f"{web.base}/s/acme/item/{item}?at={made}", Cookie=mine)
    assert status == 200
    assert "You see" in then
    assert 'method="post"' not in then
    assert ">ready<" in then
    assert f"/s/acme/board?at={made.replace(':', '%3A')}" in then, "links stay at the moment"
    assert ask(f"{web.base}/s/acme/item/{item}?at=2h", Cookie=mine)[0] == 404
    assert ask(f"{web.base}/s/acme/?at=yesterday", Cookie=mine)[0] == 400
    assert ask(f"{web.base}/s/acme/jobs/none", Cookie=mine)[0] == 404
    assert ask(f"{web.base}/static/coord.py", Cookie=mine)[0] == 404


def test_several_stores_on_one_page(shell: Shell, tmp_path: Any) -> None:
    other = Shell(tmp_path / "other")
    other.cwd.mkdir()
    other("ev init; wk new 'In the other'")
    shell("wk new 'In the first'")
    server = WebServer(shell, str(shell.cwd), str(other.cwd))
    server.start()
    mine = cookie(server)
    _, _, page = ask(f"{server.base}/", Cookie=mine)
    assert "acme" in page and "other" in page
    _, _, board = ask(f"{server.base}/s/other/board", Cookie=mine)
    assert "In the other" in board and "In the first" not in board
    data = urlencode({"csrf": csrf(board), "title": "new there"}).encode()
    ask(f"{server.base}/s/other/do/new", data, Cookie=mine, Origin=server.base)
    assert len(other("wk ls").lines) == 2
    assert len(shell("wk ls").lines) == 1
    server.stop()


def test_events_that_no_tool_of_ours_wrote_are_text_in_every_page(
    web: WebServer, shell: Shell
) -> None:
    evil, begin = "<script>evil</script>\u202e", world.parse_ts("2026-11-29T00:00:00Z")
    lines = []
    kinds: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        (
            "work.created",
            {"title": evil, "kind": evil, "labels": [evil], "fields": {"x": evil}},
            {},
        ),
        ("work.claimed", {"gen": 1}, {"refs": {"work_id": "ITEM"}}),
        ("work.commented", {"text": evil}, {"refs": {"work_id": "ITEM"}}),
        ("work.updated", {"set": {"assignee": evil}}, {"refs": {"work_id": evil}}),
        ("msg.sent", {"subject": evil, "text": evil}, {"to": ["human:eve", evil]}),
        ("run.requested", {"argv": [evil, 3, {}]}, {"refs": {"run_id": evil}}),
        ("run.requested", {"argv": [evil]}, {}),
        ("lease.acquired", {"resources": [evil], "holder": evil}, {"refs": {"lease_id": evil}}),
        ("session.started", {"agent": evil, "session": evil, "kind": evil}, {}),
        ("agent.seen", {"status": "waiting", "why": evil}, {}),
        ("control.stopped", {"scope": evil, "reason": evil}, {}),
        (f"x.{evil}", {evil: evil}, {"refs": evil}),
    ]
    for n, (kind, body, more) in enumerate(kinds):
        made: dict[str, Any] = {"event_id": ids.mint((begin << 16) + n, bytes(8)), "type": kind}
        made |= {"ts": world.format_ts(begin), "project": "acme", "writer": "agent.evil~00000009"}
        made |= {"seq": n + 1, "actor": {"agent_id": f"agent:{evil}", "session_id": evil}}
        lines.append(json.dumps(made | {"body": body} | more))
    first = ids.mint(begin << 16, bytes(8))
    stream = Path(shell.cwd, ".coord/journal/agent.evil~00000009")
    stream.mkdir()
    (stream / f"{1:012d}.jsonl").write_text("\n".join(lines).replace("ITEM", first) + "\n")
    mine = cookie(web)
    for path in ("", "board", "agents", "mail", "leases", "jobs", "events", "graph", "sync"):
        for query in ("", "?at=2026-11-29T01:00:00Z"):
            status, _, page = ask(f"{web.base}/s/acme/{path}{query}", Cookie=mine)
            assert status == 200, path
            assert "<script>evil" not in page and "\u202e" not in page, path
    status, _, page = ask(f"{web.base}/s/acme/item/{first}", Cookie=mine)
    assert (status, "&lt;script&gt;evil" in page, "<script>evil" in page) == (200, True, False)


def test_what_is_wrong_on_the_command_line(shell: Shell) -> None:
    assert "not this machine alone" in shell("coord-web --host 0.0.0.0", expect=77).err
    assert "not a valid origin" in shell("coord-web --port 0 --origin ftp://x", expect=2).err
    assert "no such file" in shell("coord-web nowhere", expect=69).err
    assert "go together" in shell("coord-web --cert x", expect=2).err
    assert "no agent name" in shell("coord-web --port 0", expect=2, COORD_AGENT="").err


def test_the_badge_counts_what_the_overview_lists(web: WebServer, shell: Shell) -> None:
    shell("wk ask --to human:eve --option yes --option no 'Ship it?'")
    shell("wk ask --to human:ned 'And this?'")
    shell("msg send --to human:eve --subject Hello", stdin="x")
    _, _, page = ask(f"{web.base}/s/acme/", Cookie=cookie(web))
    badge = re.search(r'aria-current="page">Overview <span class="badge">(\d+)<', page)
    assert badge
    needs = page.partition('id="part-needs"')[2].partition("</ul>")[0]
    assert int(badge[1]) == needs.count('<li class="card') == 3


def test_the_window_of_the_slider_has_the_moment_in_it() -> None:
    now, first = 100 * HOUR, 0
    assert timeline.window(first, now, None, "6h") == ("6h", 94 * HOUR, now)
    past = timeline.window(first, now, 10 * HOUR, "6h")
    assert (past.begin, past.end) == (7 * HOUR, 13 * HOUR)
    assert timeline.window(first, now, None, "all") == ("all", 0, now)
    assert timeline.window(now - HOUR // 2, now, None, "").span == "1h"
    assert timeline.place(past, 10 * HOUR) == timeline.STEPS // 2
    assert timeline.place(past, now) == timeline.STEPS


def test_marks_are_drawn_once_a_place_and_stepped_through() -> None:
    window = timeline.Window("1h", 0, HOUR)
    marks = [
        Mark(n, kind, "e", "x") for n in (60_000, 60_001) for kind in ("landed", "failed", "?")
    ]
    assert [tick.kind for tick in timeline.ticks(window, marks)] == ["landed", "failed"]
    stamps = [world.format_ts(ms) for ms in (60_000, 60_001)]
    assert timeline.neighbours(60_002, marks) == (stamps[1], None)
    assert timeline.neighbours(60_000, marks) == (None, stamps[1])
    assert timeline.bars([0, 1, 100]) == [(1, 10), (2, 100)]
    assert timeline.bars([0, 0]) == []


def test_a_drawing_has_what_waits_on_the_right_and_survives_a_cycle() -> None:
    rows: Any = {name: {"work_id": name, "title": name, "status": "blocked"} for name in "abcd"}
    edges = [("a", "b", "blocked_by"), ("b", "c", "parent"), ("a", "c", "blocked_by")]
    drawn = graph.drawing(rows, edges)
    at = {box.item["work_id"]: box.x for box in drawn.boxes}
    assert at["a"] < at["b"] < at["c"]
    assert len(drawn.arrows) == 3
    circle = graph.drawing(
        rows, [*edges, ("c", "a", "blocked_by"), ("a", "a", "x"), ("z", "a", "x")]
    )
    assert len(circle.boxes) == 4
    assert graph.drawing({}, []).boxes == []


def test_held_files_are_a_tree() -> None:
    leases: Any = [
        {"resources": ["file:src/a/x.py", "port:80"]},
        {"resources": ["file:src/a/y.py", "file:doc"]},
    ]
    files, port = tree(leases)
    assert [node.name for node in files.children] == ["doc", "src/a"]
    assert [node.name for node in files.children[1].children] == ["x.py", "y.py"]
    assert port.children[0].leases == [leases[0]]


def test_what_a_person_types_is_no_option_and_no_file() -> None:
    hostile = dict.fromkeys(("id", "option", "agent", "title", "to", "priority"), "--as=bob")
    hostile |= {"text": "@/etc/passwd", "desc": "@/etc/passwd", "subject": "-x", "note": "-n"}
    for verb, act in ACTS.items():
        made = act(Form({**hostile, "reason": "@x"}))
        options = " ".join(made.words).partition(" -- ")[0]
        for part in options.split(" ")[2:]:
            assert part.startswith("--") or "given back" in options, made.words
            assert not part.startswith("--as="), made.words
        assert "@/etc/passwd" not in made.words
        assert verb in DONE
    with pytest.raises(Usage):
        ACTS["claim"](Form({}))
    assert failure(b"Traceback\nx", 70).status == 70
    assert failure(b'{"what":"w","where":"x","todo":"","code":"c","status":1}', 1).what == "w"


def test_text_of_others_stays_text() -> None:
    hostile = "a<b>&\"'\u202e\x1b[31m\ud800"
    shown = ENVIRONMENT.from_string("{{ x }}").render(x=hostile)
    assert "<b>" not in shown and "\x1b" not in shown and "\u202e" not in shown
    shown.encode()
    assert str(lines("a\n<b>\x00")) == "a\n&lt;b&gt;\\u{0}"
    link = str(prose("see https://x.example/?a=1&b=<i> and javascript:alert(1)"))
    assert 'href="https://x.example/?a=1&amp;b=&lt;i&gt;"' in link or "href=" in link
    assert "<i>" not in link and 'href="javascript' not in link
    assert len(lines("x" * 100_000)) < 21_000
    assert plain("a\nb") == "a\\u{a}b"
    assert anchor("agent:ada") == "agent-ada"
    assert anchor("a b") != anchor("a_b") != anchor("a-b")
