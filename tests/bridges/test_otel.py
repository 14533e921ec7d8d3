"""coord-otel with a collector that decodes with the real protobuf: one trace, none lost, none twice."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ports import free_port
from support import Json, Shell, open_store

from coord_envelope import BadData, Usage
from coord_kernel.rules import tracing
from coord_otel.collector import Busy, Collector
from coord_otel.state import State

pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed")
pytest.importorskip("pytest_httpserver", reason="pytest-httpserver is not installed")

from bridges.otlp_receiver import Receiver, plain, receiving
from werkzeug import Response

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def export(shell: Shell, to: Receiver, more: str = "--once", expect: int = 0) -> list[Json]:
    return shell(f"coord-otel --to {to.url} {more}", expect=expect).lines


def ids(receiver: Receiver) -> Counter[str]:
    return Counter(plain(row.attributes)["coord.event_id"] for row in receiver.logs)


def stored(shell: Shell) -> Counter[str]:
    return Counter(event["event_id"] for event in shell("ev replay").lines)


def test_an_agent_its_job_and_the_child_of_that_are_one_trace(
    shell: Shell, collector: Receiver
) -> None:
    """The agent runs in a job of an item; it claims that, and has a worker run another job, whose
    command is a child that emits events itself."""
    work = shell("wk new 'Fix the login' -o id").out.strip()
    child = 'run exec -- sh -c "ev emit ci.checked --as child; exit 3"'
    agent = f"wk claim {work}; {child}; msg send --to tester --subject done; wk close {work}"
    shell(f"run exec --work {work} --env COORD_AGENT=ada -- bash -c '{agent}'")
    export(shell, collector)
    spans: dict[str, Span] = {row.name: row for row in collector.spans}
    assert sorted(spans) == ["claim", "run bash", "run sh"]
    assert {row.trace_id.hex() for row in collector.spans} == {tracing.trace_of(work)}
    outer, claim, inner = spans["run bash"], spans["claim"], spans["run sh"]
    assert outer.parent_span_id == b""
    assert claim.parent_span_id == inner.parent_span_id == outer.span_id
    assert (outer.status.code, inner.status.code) == (0, 2)
    for row in (claim, inner):
        assert outer.start_time_unix_nano - 10**9 <= row.start_time_unix_nano
        assert row.start_time_unix_nano <= row.end_time_unix_nano
    by_name = {row.event_name: row for row in collector.logs}
    for name, span in (("ci.checked", inner), ("msg.sent", outer), ("work.closed", outer)):
        assert by_name[name].trace_id == outer.trace_id
        assert by_name[name].span_id == span.span_id
    assert by_name["run.completed"].span_id in (outer.span_id, inner.span_id)
    assert plain(outer.attributes) | {"coord.work_id": work, "coord.agent": "agent:ada"} == plain(
        outer.attributes
    )


def test_a_run_joins_the_trace_of_who_started_it(shell: Shell, collector: Receiver) -> None:
    shell("run request -- true", TRACEPARENT=PARENT)
    shell("run worker --once")
    export(shell, collector)
    (span,) = collector.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (PARENT[3:35], PARENT[36:52])


def test_ten_thousand_events_with_the_collector_down_for_a_while_none_lost_none_twice(
    shell: Shell, collector: Receiver
) -> None:
    lines = "".join(f'{{"type":"load.tick","body":{{"n":{n}}}}}\n' for n in range(9_900))
    shell("ev emit -o id", lines)
    faults = {2: 503, 5: 429, 6: 502, 9: 504, 14: 503, 15: 503, 20: 429}
    collector.refuse = lambda n: Response("busy", status=faults[n]) if n in faults else None
    failed = 0
    while shell(f"coord-otel --to {collector.url} --once", expect=None).status:
        failed += 1
        if failed == 3:  # events go on
            shell("ev emit -o id", lines[: lines.index("\n", 4_000) + 1])
    assert failed == len(faults)
    assert ids(collector) == stored(shell) and len(ids(collector)) > 9_950
    assert collector.total("coord.events") == len(ids(collector))
    assert export(shell, collector) == []
    assert ids(collector) == stored(shell)


def test_one_that_is_killed_between_two_signals_sends_the_rest(
    shell: Shell, collector: Receiver
) -> None:
    shell("run exec -- true")
    first = shell("ev replay").lines
    process = shell.popen(f"coord-otel --to {collector.url} --once", stdout=subprocess.DEVNULL)

    def die(n: int) -> Response | None:
        if n == 2:  # the spans: the logs are acknowledged
            process.kill()
            return Response("", status=503)
        return None

    collector.refuse = die
    process.wait()
    assert process.returncode == -signal.SIGKILL
    shell("ev emit later.on")
    export(shell, collector)
    assert ids(collector) == stored(shell)
    assert len(collector.spans) == 1 and len(collector.logs) == len(first) + 1


def test_the_loop_exports_as_things_happen_waits_as_asked_and_ends(
    shell: Shell, collector: Receiver
) -> None:
    shell("ev emit a.b")
    busy = Response("", status=429, headers={"Retry-After": "0"})
    collector.refuse = lambda n: busy if n == 1 else None
    with shell.popen(f"coord-otel --to {collector.url}", stderr=subprocess.PIPE) as loop:
        assert loop.stderr
        assert b"answered 429" in loop.stderr.readline()
        with shell.popen(f"coord-otel --to {collector.url} --once", stderr=subprocess.PIPE) as two:
            assert b"another coord-otel" in two.communicate()[1]
        shell("ev emit a.c")
        while len(collector.logs) < 2:
            assert loop.poll() is None
            export(shell, collector, "--status")
        loop.terminate()
    assert loop.returncode == 0
    assert ids(collector) == stored(shell)


def test_what_is_not_for_others_is_not_exported_and_credentials_are_in_no_argument(
    shell: Shell, collector: Receiver
) -> None:
    shell("msg send --to tester --subject hello --body 'my secret text' --force")
    shell("wk new x --desc 'my secret plan'")
    shell(
        f"coord-otel --to {collector.url} --once",
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20abc, x-a=b",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
    )
    assert "secret" not in str(collector.logs)
    assert collector.headers[0]["Authorization"] == "Bearer abc"
    assert collector.resources[0]["deployment.environment.name"] == "test"
    assert collector.resources[0]["service.namespace"] == "acme"
    refused = shell("coord-otel --to http://a:b@localhost:4318 --once", expect=2)
    assert "the URL holds credentials" in refused.err
    assert "no collector" in shell("coord-otel --once", expect=2).err


def test_hostile_values_are_exported_as_text(shell: Shell, collector: Receiver) -> None:
    evil = {
        "type": "a.b",
        "body": {"t": "\ud800x", "n": 10**30, "f": 1e308, "z": "\x1b[2J", "title": 3},
    }
    shell("ev emit", json.dumps(evil) + "\n", expect=None)
    shell('ev emit c.d --body \'{"level":[],"severity":{},"claim":7,"consumer":"x"}\'')
    shell('ev emit usage.reported --body \'{"input":1,"model":"m"}\'')
    export(shell, collector)
    assert ids(collector) == stored(shell)


def test_a_first_export_is_bounded_and_rehearsed(shell: Shell, collector: Receiver) -> None:
    shell("ev emit -o id", '{"type":"a.b","body":{}}\n' * 10_001)
    (row,) = export(shell, collector, "--dry-run")
    assert row["events"] == 10_001
    refused = shell(f"coord-otel --to {collector.url} --once", expect=77)
    assert "10,001 events" in refused.err and collector.logs == []
    export(shell, collector, "--now --once")
    shell("ev emit c.d")
    export(shell, collector)
    assert [row.event_name for row in collector.logs] == ["c.d"]


def test_a_first_try_that_failed_leaves_the_first_export_to_come(
    shell: Shell, collector: Receiver
) -> None:
    shell("ev emit a.b")
    collector.refuse = lambda _: Response("", status=503)
    export(shell, collector, expect=75)
    shell("ev emit -o id", '{"type":"a.b","body":{}}\n' * 10_001)
    collector.refuse = lambda _: None
    assert "than 10,000" in shell(f"coord-otel --to {collector.url} --once", expect=77).err
    export(shell, collector, "--now --once")
    shell("ev emit c.d")
    export(shell, collector)
    assert [row.event_name for row in collector.logs] == ["c.d"]


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        *((url, "") for url in ("nonsense", "http://", "ftp://h", "http://[::1", "http://h:99999")),
        *((f"http://h{rest}", "") for rest in ("..x", "?a=b", "/#f", ":0", "é", "%20 x", "x" * 64)),
        *(("http://h", text) for text in ("a=%E2%82%AC", "a b=c", "é=c", "a", "a=%0A", "=x")),
    ],
)
def test_a_url_or_a_header_that_cannot_work_is_one_line(url: str, headers: str) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Usage) as caught:
        patch.setenv("OTEL_EXPORTER_OTLP_HEADERS", headers)
        Collector(url)
    assert "\n" not in str(caught.value)


def test_an_answer_that_never_ends_is_given_up(
    collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coord_otel.collector.LIMIT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        to = Collector(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(Busy, match=r"no answer in 0\.1 s"):
            to.send("logs", b"")
    assert Collector(collector.url).send("logs", b"") == b"", "the limit was of the first alone"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("cursor", {"x": "y"}),
        ("cursor", []),
        ("until", 3),
        ("count", -1),
        ("exported", "1"),
        ("begun", None),
        ("open", {"x": 1}),
        ("open", {"x": {"kind": "run"}}),
        ("open", [3]),
        ("meters", {"coord.events": 3}),
        ("meters", {"coord.events": {"x": 1}}),
        ("meters", {"coord.events": {"{}": {"n": "1"}}}),
        ("meters", {"coord.hop.latency": {"{}": {"n": 1, "sum": 1, "buckets": [1]}}}),
        ("meters", {"of.others": {"{}": {"n": 1}}}),
        ("done", ["x"]),
    ],
)
def test_a_state_that_is_not_one_is_named(
    exported: tuple[Shell, Path, Json], name: str, wrong: object
) -> None:
    shell, path, state = exported
    path.write_text(json.dumps(state | {name: wrong}))
    with pytest.raises(BadData, match=f"local/otel/{path.name}: not a valid state; delete it"):
        State(open_store(shell.cwd), "http://x", 0)


@pytest.fixture
def exported(shell: Shell) -> tuple[Shell, Path, Json]:
    """A store, and the file and the state of what was exported from it to http://x."""
    shell("ev init")
    state = State(open_store(shell.cwd), "http://x", 0)
    state.save()
    (path,) = (shell.cwd / ".coord/local/otel").iterdir()
    return shell, path, json.loads(path.read_text())


def test_counters_and_histograms_say_what_happened(shell: Shell, collector: Receiver) -> None:
    work = shell("wk new x -o id").out.strip()
    shell(f"wk claim {work}; wk close {work}")
    shell("run exec -- true; run exec -- false", expect=1)
    cause = shell("msg send --to tester --subject x --force -o id").out.strip()
    shell(f"ev emit a.b --cause {cause}")
    shell(
        'ev emit usage.reported --body \'{"agent":"agent:ada","model":"m-1","input":1200,"output":300,"micros":4200}\''
    )
    export(shell, collector)
    total = collector.total
    assert total("coord.claims", kind="work") == 1 and total("coord.claims", kind="run") == 2
    assert total("coord.jobs", outcome="success") == total("coord.jobs", outcome="failure") == 1
    assert total("coord.mail") == total("coord.claim.age") == total("coord.hop.latency") == 1
    assert total("coord.job.duration") == 2
    assert total("coord.usage.cost") == pytest.approx(0.0042)
    usage = collector.metrics["gen_ai.client.token.usage"]
    sums = {
        plain(point.attributes)["gen_ai.token.type"]: point.sum
        for point in usage.histogram.data_points
    }
    assert (sums, usage.unit) == ({"input": 1200, "output": 300}, "{token}")
    assert total("gen_ai.client.token.usage", gen_ai__request__model="m-1") == 2


def test_what_a_collector_rejects_is_said_and_not_sent_again(
    shell: Shell, collector: Receiver
) -> None:
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs

    answer = logs.ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = 1
    answer.partial_success.error_message = "too old"
    collector.answer = answer.SerializeToString()
    shell("ev emit a.b")
    done = shell(f"coord-otel --to {collector.url} --once")
    assert "1 of logs were rejected: too old" in done.err
    assert export(shell, collector) == [] and len(collector.logs) == 1


def test_a_refused_credential_is_one_line(shell: Shell, collector: Receiver) -> None:
    collector.refuse = lambda _: Response("", status=401)
    shell("ev emit a.b")
    assert "answered 401" in shell(f"coord-otel --to {collector.url} --once", expect=77).err
    collector.refuse = lambda _: Response("", status=404)
    assert "answered 404" in shell(f"coord-otel --to {collector.url} --once", expect=65).err


def test_a_redirection_is_not_followed_and_nothing_counts_as_exported(
    shell: Shell, collector: Receiver
) -> None:
    shell("ev emit a.b")
    with receiving() as other:
        place = {"Location": f"{other.url}/v1/logs"}
        statuses = (301, 302, 307, 308)
        answers = iter([Response("", status=status, headers=place) for status in statuses])
        collector.refuse = lambda _: next(answers)
        for status in statuses:
            done = shell(f"coord-otel --to {collector.url} --once", expect=65)
            assert f"answered {status}" in done.err
        assert other.headers == [] and export(shell, collector, "--status")[0]["exported"] == 0
    collector.refuse = lambda _: None
    export(shell, collector)
    assert ids(collector) == stored(shell)


@pytest.mark.parametrize("more", ["", "--to http://127.0.0.1:9"])
def test_prometheus_sees_the_same_also_while_the_collector_is_down(shell: Shell, more: str) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    shell("run exec -- true")
    port = free_port()
    with shell.popen(f"coord-otel --prometheus :{port} {more}", stdout=subprocess.PIPE) as loop:
        assert loop.stdout
        url = json.loads(loop.stdout.readline())["url"]
        assert url == f"http://127.0.0.1:{port}/metrics"
        while True:
            with urllib.request.urlopen(url) as answer:
                text = answer.read().decode()
            if "coord_jobs_total" in text:
                break
            assert loop.poll() is None
        loop.terminate()
    assert loop.returncode == 0
    lines = text.splitlines()
    assert 'coord_jobs_total{outcome="success"} 1.0' in lines
    assert 'coord_events_total{type="run.completed"} 1.0' in lines
    assert 'coord_job_duration_seconds_count{failed="False"} 1.0' in lines
    assert "not a valid address" in shell("coord-otel --prometheus x --once", expect=2).err
