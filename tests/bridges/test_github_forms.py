"""coord-github: what is pure, and what needs a GitHub that has more than the one of `test_github.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulate import FORGE
from support import Json, Shell, open_journal

pytest.importorskip("github", reason="not installed: coord-kernel[github]")

from coord_github import checks, events, fields, pulls
from coord_github.api import until
from coord_github.fields import issue_side, kept, marked, marker_of, merged
from coord_github.items import People

SLUG = "acme/web"
ID = "01KF4QBCFS000HY2KBEWSW1ZZE"
EXAMPLES = FORGE / "node_modules/@octokit/webhooks-examples/api.github.com/index.json"


def side(**more: Any) -> Json:
    blank: Json = {"title": "t", "desc": "d", "state": "open", "assignee": "", "milestone": ""}
    return {**blank, "labels": [], "parent": 0, "blocked_by": [], **more}


MERGES: list[tuple[Json, Json, Json, Json, list[str]]] = [
    # changed here, changed there: to be changed here, to be changed there, conflicts
    ({}, {}, {}, {}, []),
    ({"title": "a"}, {}, {}, {"title": "a"}, []),
    ({}, {"title": "b"}, {"title": "b"}, {}, []),
    ({"title": "a"}, {"title": "b"}, {"title": "b"}, {}, ["title"]),
    ({"title": "a"}, {"title": "a"}, {}, {}, []),
    ({"title": "a"}, {"desc": "b"}, {"desc": "b"}, {"title": "a"}, []),
    ({"desc": "a"}, {"desc": "b"}, {"desc": "b"}, {}, ["desc"]),
    ({"state": "done"}, {}, {}, {"state": "done"}, []),
    ({"state": "done"}, {"state": "cancelled"}, {"state": "cancelled"}, {}, ["state"]),
    ({"labels": ["x"]}, {"labels": ["y"]}, {"labels": ["x", "y"]}, {"labels": ["x", "y"]}, []),
    ({"assignee": None}, {"assignee": "ada"}, {}, {}, []),
    ({"parent": None}, {"parent": 7}, {}, {}, []),
    ({"parent": 3}, {"parent": None}, {}, {}, []),
    ({"blocked_by": [1]}, {"blocked_by": [2]}, {"blocked_by": [1, 2]}, {"blocked_by": [1, 2]}, []),
]  # fmt: skip


@pytest.mark.parametrize(("here", "there", "to_here", "to_there", "conflicts"), MERGES)
def test_what_changed_on_one_side_is_taken_over_by_the_other(
    here: Json, there: Json, to_here: Json, to_there: Json, conflicts: list[str]
) -> None:
    base = {"here": kept(side()), "there": kept(side())}
    result = merged(base, side(**here), side(**there))
    assert (result.here, result.there, result.conflicts) == (to_here, to_there, conflicts)
    # What was decided settles it: the next comparison finds nothing to do.
    after = side(**here) | result.here, side(**there) | result.there
    again = merged({"here": kept(after[0]), "there": kept(after[1])}, *after)
    assert (again.here, again.there) == ({}, {})


def test_what_was_removed_from_a_set_on_one_side_is_removed_on_the_other() -> None:
    base = {"here": kept(side(labels=["a", "b"])), "there": kept(side(labels=["a", "b"]))}
    result = merged(base, side(labels=["b", "c"]), side(labels=["a", "b", "d"]))
    assert result.here == {"labels": ["b", "c", "d"]}
    assert result.there == {"labels": ["b", "c", "d"]}


def test_what_github_spells_in_another_way_is_no_change() -> None:
    base = {"here": kept(side(labels=["Bug"], assignee="x")), "there": kept(side(labels=["bug"]))}
    assert not merged(base, side(labels=["Bug"], assignee="x"), side(labels=["bug"]))


def test_without_a_base_the_changes_are_those_here() -> None:
    result = merged(None, side(title="a", labels=["x"]), side(title="b"))
    assert (result.here, result.there) == ({}, {"title": "a", "labels": ["x"]})


@pytest.mark.parametrize(
    ("text", "plain", "marker"),
    [
        (marked("text", ID), "text", ID),
        (marked("", ID), "", ID),
        (f"a\r\nb\n\n<!-- coord:{ID} -->\r\n", "a\nb", ID),
        (f"<!-- coord:{ID} --> behind", f"<!-- coord:{ID} --> behind", ""),
        ("<!-- coord:x -->", "<!-- coord:x -->", ""),
        (None, "", ""),
        (7, "", ""),
        ("a\0b  ", "ab", ""),
        ("x" * 70_000, "x" * 60_000, ""),
    ],
    ids=lambda each: str(each)[:20],
)
def test_a_text_is_the_same_on_both_sides_and_its_marker_is_at_the_end(
    text: object, plain: str, marker: str
) -> None:
    assert fields.desc_of(text) == plain
    assert marker_of(text) == marker
    assert fields.desc_of(fields.desc_of(text)) == plain


@pytest.mark.parametrize(
    "text",
    ["", " ", "a\x1b[1m\nb", "é" * 150, "x" * 500, "\U0001f600" * 60, None, {}, "\x85\u2028"],
)
def test_a_title_fits_and_is_the_same_again(text: object) -> None:
    title = fields.title_of(text)
    assert 0 < len(title.encode()) <= 200
    assert fields.title_of(title) == title
    assert not any(char < " " or "\x7f" <= char < "\xa0" for char in title)


HOSTILE: list[Json] = [
    {},
    {"number": "7", "id": None, "title": 3, "body": [], "labels": "x", "assignees": {}},
    {
        "labels": [None, 7, {}, {"name": None}, {"name": "\x1b[31m"}, {"name": "y" * 90}],
        "milestone": 3,
    },
    {"assignees": [{"login": None}], "state": "closed", "state_reason": 5},
    {"parent_issue_url": "https://x/repos/acme/web/issues/../../7", "blocked_by": [7, {"url": 3}]},
    {"milestone": {"title": "<script>\0"}, "title": "a" * 1000, "body": "\0" * 10},
]


@pytest.mark.parametrize("issue", HOSTILE, ids=lambda each: str(each)[:30])
def test_any_issue_is_a_side(issue: Json) -> None:
    made = issue_side(issue, SLUG)
    assert kept(made)
    assert made["parent"] in (None, 0)
    list(pulls.of_pull(issue, SLUG))
    checks.body_of(issue, SLUG, "0" * 40)
    checks.body_of(checks.as_run(issue), SLUG, "0" * 40)


def test_relations_are_those_of_the_repository() -> None:
    at = "https://api.github.com/repos"
    assert fields.number_of(f"{at}/Acme/Web/issues/12", SLUG) == 12
    for url in (
        f"{at}/other/web/issues/12",
        f"{at}/acme/web/issues/x",
        "",
        None,
        f"{at}/acme/web/pulls/1",
    ):
        assert fields.number_of(url, SLUG) == 0
    row = {
        "parent_issue_url": f"{at}/acme/web/issues/3",
        "blocked_by": [{"url": f"{at}/acme/web/issues/4"}],
    }
    assert (issue_side(row, SLUG)["parent"], issue_side(row, SLUG)["blocked_by"]) == (3, [4])


def test_people_are_who_they_are() -> None:
    people = People({"agent:bob": "Bob-L"})
    assert [people.login(name) for name in ("human:ada", "agent:bob", "agent:eve", None, "human:a/b")] == [
        "ada", "bob-l", None, "", None,
    ]  # fmt: skip
    assert [people.address(login) for login in ("ada", "BOB-L", "", "dependabot[bot]")] == [
        "human:ada", "agent:bob", None, "human:dependabot-bot",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1100"}, 100),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999"}, 3600),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "900"}, 0),
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": "1100"}, 60),
        ({"retry-after": "x"}, 60),
    ],
)
def test_a_limit_names_a_time(headers: dict[str, str], seconds: int) -> None:
    assert until(headers, 1_000_000) == 1_000_000 + seconds * 1000


PULL = {
    "number": 3, "state": "open", "title": "Fix", "body": "Fixes #1", "user": {"login": "ada"},
    "head": {"ref": "fix", "sha": "a" * 40}, "base": {"ref": "main"}, "html_url": "https://x/3",
}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "kinds"),
    [
        ({}, ["github.pr.opened"]),
        ({"state": "closed", "closed_at": "2026"}, ["github.pr.opened", "github.pr.closed"]),
        ({"state": "closed", "merged_at": "2026", "merge_commit_sha": "b" * 40}, ["github.pr.opened", "github.pr.merged"]),
    ],
)  # fmt: skip
def test_the_fate_of_a_pull_request_is_an_event(more: Json, kinds: list[str]) -> None:
    drafts = list(pulls.of_pull(PULL | more, SLUG))
    assert [draft["type"] for draft in drafts] == kinds
    assert len({draft["idempotency_key"] for draft in drafts}) == len(drafts)


@pytest.mark.parametrize(
    ("conclusion", "over"),
    [("failure", True), ("timed_out", True), ("success", True), ("skipped", True), (None, False), ("stale", False)],
)  # fmt: skip
def test_a_check_is_reported_when_it_is_over(conclusion: str | None, over: bool) -> None:
    run = {"id": 5, "name": "lint", "conclusion": conclusion, "output": {"summary": "2 errors"}}
    body = checks.body_of(run, SLUG, "a" * 40)
    assert bool(body) == over
    if body:
        assert (body["check"], body["text"], body["commit"]) == ("lint", "2 errors", "a" * 40)
        assert checks.answers({"where": {"check": "lint"}}, body)
        assert checks.answers({}, body)
        assert not checks.answers({"where": {"check": "unit"}}, body)
        assert not checks.answers({"where": {"other": 1}}, body)
    status = {"id": 6, "context": "ci/x", "state": "pending"}
    assert checks.body_of(checks.as_run(status), SLUG, "a" * 40) is None
    done = checks.body_of(checks.as_run(status | {"state": "failure"}), SLUG, "a" * 40)
    assert done
    assert (done["check"], done["conclusion"]) == ("ci/x", "failure")


def test_every_example_of_githubs_webhooks_is_an_event_and_used_or_named_as_not_used() -> None:
    if not EXAMPLES.exists():
        pytest.skip("@octokit/webhooks-examples is not installed: tests/forge/install")
    from coord_webhook import forms
    from coord_webhook.mapping import Received

    schema = json.loads((EXAMPLES.parents[2] / "webhooks-schemas/schema.json").read_text())
    names, count = set[str](), 0
    for entry in json.loads(EXAMPLES.read_text()):
        names.add(entry["name"])
        for payload in entry["examples"]:
            count += 1
            (draft,) = forms.drafts(
                "github", "x", Received(payload, {"x-github-event": entry["name"]})
            )
            action = f".{payload['action']}" if isinstance(payload.get("action"), str) else ""
            assert draft["type"] == f"github.{entry['name']}{action}".lower()
            assert draft["body"] == payload
            assert events.leads_to_a_look(draft["type"]) == (entry["name"] in events.USED)
            if "issue" in payload:
                used_as_an_issue(payload["issue"])
            if "pull_request" in payload and "head" in payload["pull_request"]:
                assert list(pulls.of_pull(payload["pull_request"], SLUG))
            if "check_run" in payload:
                run = payload["check_run"]
                done = run["conclusion"] in (*checks.FAILED, *checks.PASSED)
                assert bool(checks.body_of(run, SLUG, run["head_sha"])) == done
    assert count > 300
    assert names <= events.USED | events.NOT_USED
    assert not events.USED & events.NOT_USED
    described = {name.partition("$")[0] for name in schema["definitions"] if "$" in name}
    ours = events.USED - {"sub_issues", "issue_dependencies", "push", "status"}
    assert ours <= described, "the names are GitHub's"


def used_as_an_issue(issue: Json) -> None:
    """It has the fields that we read, with the types that we take them for."""
    made = issue_side(issue, SLUG)
    assert made["title"] == fields.title_of(issue["title"])
    assert (made["state"] == "open") == (issue.get("state", "open") == "open")
    assert len(made["labels"]) == len({label["name"] for label in issue.get("labels") or ()})


class Double:
    """A repository with sub-issues, dependencies, pull requests and checks, in memory."""

    def __init__(self, server: Any) -> None:
        self.issues: dict[int, Json] = {}
        self.pulls: list[Json] = []
        self.checks: dict[str, list[Json]] = {}
        self.any_check: list[Json] = []
        """The checks of any other commit."""
        self.writes: list[tuple[str, str, Any]] = []
        self.blocked: dict[int, list[int]] = {}
        self.clock = 0
        self.base = server.url_for("").rstrip("/").replace("127.0.0.1", "localhost")
        server.expect_request(__import__("re").compile(".*")).respond_with_handler(self.answer)

    def now(self) -> str:
        self.clock += 1
        return f"2026-01-17T01:{self.clock // 60:02}:{self.clock % 60:02}Z"

    def url(self, number: int) -> str:
        return f"{self.base}/repos/{SLUG}/issues/{number}"

    def add(self, title: str, **more: Any) -> int:
        number = len(self.issues) + 1
        self.issues[number] = {
            "number": number, "id": 1000 + number, "title": title, "body": None, "state": "open",
            "labels": [], "assignees": [], "milestone": None, "updated_at": self.now(), "parent": 0,
            "comments": 0, **more,
        }  # fmt: skip
        return number

    def row(self, number: int) -> Json:
        issue = dict(self.issues[number])
        blockers, parent = self.blocked.get(number, []), issue.pop("parent")
        issue["sub_issues_summary"] = {"total": 0}
        issue["issue_dependencies_summary"] = {
            "total_blocked_by": len(blockers),
            "blocked_by": len(blockers),
        }
        return issue | ({"parent_issue_url": self.url(parent)} if parent else {})

    def answer(self, request: Any) -> Any:
        from werkzeug import Response

        words = request.get_json(silent=True) or {}
        path = request.path.removeprefix(f"/repos/{SLUG}")
        if request.method != "GET":
            self.writes.append((request.method, path, dict(words)))
        found = self.routed(request.method, [part for part in path.split("/") if part], words)
        status = 404 if found is None else 200
        return Response(json.dumps(found), status, content_type="application/json")

    def routed(self, verb: str, parts: list[str], words: Any) -> Any:
        match [verb, *parts]:
            case ["GET", "issues"]:
                return [self.row(number) for number in self.issues]
            case ["GET", "issues", "comments"]:
                return []
            case ["GET", "issues", number]:
                return self.row(int(number))
            case ["GET", "issues", number, "dependencies", "blocked_by"]:
                return [{"url": self.url(other)} for other in self.blocked.get(int(number), [])]
            case ["POST", "issues", number, "dependencies", "blocked_by"]:
                self.blocked.setdefault(int(number), []).append(words["issue_id"] - 1000)
                return self.touched(int(number))
            case ["DELETE", "issues", number, "dependencies", "blocked_by", ident]:
                self.blocked[int(number)].remove(int(ident) - 1000)
                return self.touched(int(number))
            case ["POST", "issues", number, "sub_issues"]:
                self.issues[words["sub_issue_id"] - 1000]["parent"] = int(number)
                return self.touched(words["sub_issue_id"] - 1000)
            case ["DELETE", "issues", _, "sub_issue"]:
                self.issues[words["sub_issue_id"] - 1000]["parent"] = 0
                return self.touched(words["sub_issue_id"] - 1000)
            case ["POST", "issues"]:
                labels = [{"name": name} for name in words.pop("labels", [])]
                return self.row(self.add(words.pop("title"), labels=labels, **words))
            case ["PATCH", "issues", number]:
                self.issues[int(number)] |= words
                return self.touched(int(number))
            case ["GET", "pulls"]:
                return self.pulls
            case ["GET", "commits", sha, "check-runs"]:
                return {"total_count": 0, "check_runs": self.checks.get(sha, self.any_check)}
            case ["GET", "commits", sha, "status"]:
                return {"state": "pending", "statuses": []}
            case ["POST", "check-runs", _, "rerequest"]:
                return {}
            case ["GET", "milestones"]:
                return []
        return None

    def touched(self, number: int) -> Json:
        self.issues[number]["updated_at"] = self.now()
        return self.row(number)


@pytest.fixture
def double(httpserver: Any, shell: Shell) -> Iterator[Double]:
    one = Double(httpserver)
    shell.env |= {"COORD_GITHUB_URL": one.base, "COORD_GITHUB_TOKEN": "t"}
    yield one


def moved(httpserver: Any, places: dict[str, str]) -> None:
    """Answer GET of these paths by 301 to these places."""
    for path, place in places.items():
        headers = {"Location": place}
        httpserver.expect_request(path).respond_with_data("{}", status=301, headers=headers)


@pytest.mark.parametrize(
    ("places", "what", "status"),
    [
        ({"/repos/o/old/issues": "/repositories/1/issues", "/repos/o/old": "/repositories/1"},
         "o/old: was renamed; use o/new", 65),
        ({"/repos/o/old/issues": "http://example.invalid/issues"}, "redirects to example.invalid", 65),
        ({"/repos/o/old/issues": "/repos/o/old/issues", "/repos/o/old": "/repos/o/old"}, "in a circle", 65),
        ({"/repos/o/old/issues": ""}, "o/old/issues: was moved to another repository", 1),
        ({}, "o/old/issues: GitHub answered 404; check the name; or the token may not read it", 1),
    ],
)  # fmt: skip
def test_a_repository_that_has_moved_is_named_and_not_followed(
    shell: Shell, httpserver: Any, places: dict[str, str], what: str, status: int
) -> None:
    moved(httpserver, places)
    if "/repos/o/old" not in places and places:
        httpserver.expect_request("/repos/o/old").respond_with_json({"full_name": "o/old"})
    httpserver.expect_request("/repositories/1").respond_with_json({"full_name": "o/new"})
    if not places:
        httpserver.expect_request("/repos/o/old/issues").respond_with_data("{}", status=404)
    url = httpserver.url_for("").rstrip("/").replace("127.0.0.1", "localhost")
    env = {"COORD_GITHUB_URL": url, "COORD_GITHUB_TOKEN": "t"}
    done = shell("coord-github import o/old", expect=status, **env)
    assert what in done.err
    assert all(line.startswith("coord-github: ") for line in done.err.splitlines())
    assert "/repositories/1/issues" not in [request.path for request, _ in httpserver.log]


def test_what_looks_like_a_credential_is_masked_and_the_rest_is_imported(
    shell: Shell, double: Double
) -> None:
    token = "ghp_" + "a1B2" * 9
    key = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"
    double.add(f"Use {token}x now", body=f"it is\n{key}\nhere")
    double.add("Other")
    done = shell(f"coord-github import {SLUG}")
    assert done.err.count("is masked with ***") == 1
    items = {row["title"]: row for row in shell("wk ls -o id | wk show -").lines}
    assert items.keys() == {"Use ghp_*** now", "Other"}
    assert items["Use ghp_*** now"]["desc"] == "it is\n----***\nhere"
    assert shell(f"coord-github follow {SLUG} --once").out == ""
    assert double.writes == [], "GitHub's text is left as it is"


def test_what_cannot_be_masked_is_left_out(shell: Shell, double: Double) -> None:
    double.add("One", body="AK\0IA" + "A1B2C3D4E5F6G7H8")
    double.add("Other")
    done = shell(f"coord-github import {SLUG}")
    assert [row["title"] for row in shell("wk ls").lines] == ["Other"]
    assert "it is left out until it changes" in done.err
    assert "--allow-secret" not in done.err


def test_sub_issues_and_dependencies_go_both_ways(shell: Shell, double: Double) -> None:
    for title in ("Part", "Whole", "First", "Other"):
        double.add(title)
    double.issues[1]["parent"] = 2
    double.blocked[1] = [3]
    shell(f"coord-github import {SLUG}")
    assert double.writes == []
    work = {row["title"]: row for row in shell("wk ls -o id | wk show -").lines}
    part, whole, first, other = (work[name] for name in ("Part", "Whole", "First", "Other"))
    assert part["parent"] == whole["work_id"]
    assert part["blockers"] == [first["work_id"]]
    assert shell(f"coord-github follow {SLUG} --once").out == ""
    shell(f"wk update {part['work_id']} --parent {other['work_id']}")
    shell(f"wk dep {part['work_id']} {first['work_id']} --rm")
    shell(f"wk dep {other['work_id']} {first['work_id']}")
    shell(f"coord-github follow {SLUG} --once")
    assert double.issues[1]["parent"] == 4
    assert double.blocked == {1: [], 4: [3]}
    assert shell(f"coord-github follow {SLUG} --once").out == ""
    double.blocked[4] = []
    double.issues[1]["parent"] = 0
    for number in (1, 4):
        double.touched(number)
    writes = len(double.writes)
    shell(f"coord-github follow {SLUG} --once")
    assert len(double.writes) == writes
    row = shell(f"wk show {part['work_id']}").one
    assert "parent" not in row
    assert "deps" not in shell(f"wk show {other['work_id']}").one


def test_requests_and_their_checks_are_events_once(shell: Shell, double: Double) -> None:
    double.add("Broken")
    shell(f"coord-github import {SLUG}")
    (item,) = shell("wk ls").lines
    double.pulls = [PULL | {"updated_at": double.now()}]
    runs = [("lint", "failure"), ("unit", "success"), ("slow", None)]
    double.checks["a" * 40] = [
        {"id": at, "name": name, "conclusion": how, "html_url": "https://x"} for at, (name, how) in enumerate(runs)
    ]  # fmt: skip
    command = f"coord-github follow {SLUG} --once"
    shell(command)
    opened, artifact, failed = shell(
        "ev replay --type 'github.pr.*' --type 'ci.*' --type 'artifact.*'"
    ).lines
    assert [each["type"] for each in (opened, artifact, failed)] == [
        "github.pr.opened",
        "artifact.added",
        "ci.failed",
    ]
    assert {each["refs"]["work_id"] for each in (opened, artifact, failed)} == {item["work_id"]}
    assert (failed["body"]["job"], failed["body"]["pr"]) == ("lint", 3)
    assert shell(f"wk show {item['id']}").one["artifacts"][0]["uri"] == "https://x/3"
    assert shell(command).out == ""
    merged_at = {"state": "closed", "merged_at": "2026", "updated_at": double.now()}
    double.pulls = [PULL | merged_at | {"merge_commit_sha": "b" * 40}]
    assert shell(command).one["type"] == "github.pr.merged"
    assert shell(command).out == ""
    assert double.writes == []


def test_what_is_sent_is_what_githubs_description_of_its_api_has(
    shell: Shell, double: Double
) -> None:
    path = Path(FORGE / "openapi.json")
    if not path.exists():
        pytest.skip("@octokit/openapi is not installed: tests/forge/install")
    shell("wk new One --label a --desc text --assignee human:ada")
    (one,) = shell("wk ls -o id").out.split()
    double.add("Parent")
    double.add("Blocker")
    shell(f"coord-github export {SLUG} {one}")
    shell(f"coord-github import {SLUG}")
    ids = {row["title"]: row["id"] for row in shell("wk ls").lines}
    parent, blocker = ids["Parent"], ids["Blocker"]
    shell(f"wk update {one} --title Two --label b --parent {parent} --assignee human:eve")
    shell(f"wk dep {one} {blocker}")
    shell(f"wk close {one} --force", expect=None)
    shell(f"coord-github follow {SLUG} --once")
    written = double.writes
    assert {(verb, path.rpartition("/")[2]) for verb, path, _ in written} >= {
        ("POST", "issues"),
        ("PATCH", "3"),
    }
    document = json.loads(path.read_text())
    for verb, path_, words in written:
        assert_described(document, verb, path_, words)


def assert_described(document: Json, verb: str, path: str, words: Any) -> None:
    """The path has this verb, and the body is valid."""
    from jsonschema import Draft202012Validator

    parts = f"/repos/x/y{path}".split("/")
    (template,) = [
        each
        for each in document["paths"]
        if len(each.split("/")) == len(parts)
        and all(a == b or a.startswith("{") for a, b in zip(each.split("/"), parts, strict=True))
        and verb.lower() in document["paths"][each]
    ]
    body = document["paths"][template][verb.lower()].get("requestBody")
    if body is None:
        assert words == {}
        return
    schema = nullable(body["content"]["application/json"]["schema"])
    Draft202012Validator({**schema, "components": document["components"]}).validate(words)
    known = schema.get("properties")
    assert known is None or words.keys() <= known.keys()


def nullable(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` as JSON Schema has it."""
    if isinstance(schema, list):
        return [nullable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: nullable(value) for name, value in schema.items()}
    if made.pop("nullable", False) and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


def test_a_merge_queue_gets_the_answer_that_it_waits_for(shell: Shell, double: Double) -> None:
    commit, wrong = "c" * 40, "d" * 40
    ask = {
        "target": "main", "base": "b" * 40, "commit": commit, "gate": "9f86d081884c7d65", "attempt": 1,
        "event": "ci.completed", "by": "bridge:github", "where": {"check": "build"}, "pass": {"conclusion": "success"},
        "until": "2100-01-01T00:00:00.000Z",
    }  # fmt: skip
    lint = {"id": 4, "name": "lint", "conclusion": "failure", "completed_at": "t"}
    running = {"id": 5, "name": "build", "conclusion": None}
    double.checks = {commit: [lint, running], wrong: [lint]}

    def asked(**more: Any) -> str:
        return str(
            shell("ev emit land.asked --body -", stdin=json.dumps(ask | more)).one["event_id"]
        )

    asked()
    asked(commit=wrong, by="bridge:other")
    asked(commit=wrong, event="work.closed")
    hostile = {"type": "land.asked", "body": ask | {"commit": "../../x"}}  # `ev emit` refuses it
    open_journal(shell.cwd).append({"agent_id": "agent:mallory"}, [hostile])
    follow = f"coord-github follow {SLUG} --once"
    assert shell(follow).out == ""
    failed = running | {"conclusion": "failure", "completed_at": "2026-01-17T01:00:00Z"}
    double.checks[commit] = [lint, failed]
    event = shell(follow).one
    assert event["type"] == "ci.completed"
    assert event["actor"] == {"agent_id": "bridge:github"}
    assert (event["body"]["commit"], event["body"]["check"], event["body"]["conclusion"]) == (
        commit, "build", "failure",
    )  # fmt: skip
    assert shell(follow).out == ""
    assert double.writes == []
    second = asked(attempt=2)
    again = shell(follow).one
    assert (again["type"], again["body"]["ask"]) == ("github.rerun", second)
    assert [path for _, path, _ in double.writes] == ["/check-runs/5/rerequest"]
    double.checks[commit] = [running]
    assert shell(follow).out == ""
    double.checks[commit] = [
        failed | {"conclusion": "success", "completed_at": "2026-01-17T02:00:00Z"}
    ]
    event = shell(follow).one
    assert (event["type"], event["body"]["conclusion"]) == ("ci.completed", "success")
    shell("ev emit land.tested --body -", stdin=json.dumps(
        {**{name: ask[name] for name in ("target", "base", "commit", "gate")}, "attempt": 1, "outcome": "fail"}
    ))  # fmt: skip
    assert shell(follow).out == ""
    assert len(double.writes) == 1


def test_a_commit_lands_when_its_hosted_check_has_passed(shell: Shell, double: Double) -> None:
    pytest.importorskip("coord_land.cli")
    root = shell.cwd
    for line in (
        "git symbolic-ref HEAD refs/heads/main && git config user.name Ada && git config user.email a@b.example",
        "git init -q --bare ../remote.git && git remote add origin ../remote.git",
    ):
        shell(line)
    gate = (
        '[[land.gate]]\nevent = "ci.completed"\nby = "bridge:github"\nwhere = { check = "build" }\n'
    )
    (root / "coord.toml").write_text(
        f'[land]\nremote = "origin"\n{gate}pass = {{ conclusion = "success" }}\n'
    )
    shell("git add . && git commit -q -m gate && git push -q origin main")
    shell(
        "git checkout -q -b parser && echo 1 > parser && git add . && git commit -q -m parser && git checkout -q main"
    )
    shell("coord-land add parser --as ada")
    shell("coord-land run --once", expect=None)
    (ask,) = shell("ev replay --type land.asked").lines
    commit = ask["body"]["commit"]
    double.checks[commit] = [
        {"id": 7, "name": "build", "conclusion": "success", "completed_at": "t"}
    ]
    assert shell(f"coord-github follow {SLUG} --once").one["type"] == "ci.completed"
    shell("coord-land run --once")
    assert shell("git ls-remote ../remote.git refs/heads/main").out.split()[0] == commit
