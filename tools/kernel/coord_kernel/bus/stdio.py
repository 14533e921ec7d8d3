"""The bus through a pair of pipes, on which `python -m coord_kernel.cli.serve` serves a store.

Requests and answers are JSON objects, one a line (spec/bus.md). An event is sent as its own bytes.
"""

from __future__ import annotations

from coord_envelope import codec
from coord_envelope.cursor import Cursor
from coord_envelope.errors import BadData, Fault, Unreachable
from coord_envelope.event import Event
from coord_envelope.filter import Filter
from coord_envelope.platform import suppress
from coord_kernel.bus.backends import Batch, FileBus
from coord_kernel.store.disk import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from subprocess import Popen

    from coord_envelope.codec import Json

_EVENT = b',"event":'


class StdioBus:
    """The bus that a command serves on its stdin and stdout, here or (`ssh HOST …`) elsewhere."""

    def __init__(self, argv: Sequence[str]) -> None:
        """Each call starts the command again, so that a subscription blocks no other call."""
        self._argv = argv

    def publish(self, draft: Json) -> Event:
        """The event, when it is on the server's disk.

        Raises the server's faults; Unreachable: it is unknown whether the event was written.
        """
        (batch,) = self._ask({"op": "publish", "draft": draft})
        return batch.events[0]

    def snapshot(self, wanted: Filter | None, after: Cursor) -> Iterator[Batch]:
        yield from self._ask(_request("snapshot", wanted, after))

    def subscribe(self, wanted: Filter | None, after: Cursor) -> Iterator[Batch]:
        """Raises Unreachable if the server is gone: begin again after the last batch's cursor."""
        yield from self._ask(_request("subscribe", wanted, after))

    def _ask(self, request: Json) -> Iterator[Batch]:
        import subprocess

        server = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert server.stdin
            server.stdin.write(codec.dumps(request) + b"\n")
            server.stdin.flush()
            yield from _answers(server)
        except BrokenPipeError:
            raise Unreachable("the server of the bus is gone", where=self._argv[0]) from None
        finally:
            _close(server)


def _request(op: str, wanted: Filter | None, after: Cursor) -> Json:
    return {"op": op, "filter": wanted.said if wanted else {}, "cursor": after}


def _answers(server: Popen[bytes]) -> Iterator[Batch]:
    assert server.stdout
    batch = Batch()
    for line in server.stdout:
        if not line.endswith(b"}\n"):
            break  # it died in the middle of a line
        if line.startswith(b'{"stream":'):
            head, _, raw = line[:-2].partition(_EVENT)
            stream = codec.loads(head + b"}")["stream"]
            batch.events.append(Event(raw, codec.loads(raw), stream))  # may have a $dup
            continue
        answer = codec.loads(line)
        if "gap" in answer:
            batch.gaps.append(answer["gap"])
        elif "cursor" in answer:
            batch.cursor = Cursor(answer["cursor"])
            yield batch
            batch = Batch()
        elif "fault" in answer:
            raise _fault(answer["fault"])
        else:
            return
    where = str(server.args[0])  # type: ignore[index]
    raise Unreachable("the server of the bus is gone", where=where)


def _fault(fields: Json) -> Fault:
    fault = Fault(fields["what"], fields["where"], fields["todo"])
    fault.status = fields["status"]
    return fault


def _close(server: Popen[bytes]) -> None:
    for pipe in (server.stdin, server.stdout):
        if pipe:
            with suppress(BrokenPipeError):  # it was gone before it had read the request
                pipe.close()
    server.wait()


def serve(bus: FileBus, request: bytes) -> None:
    """Answer one request on stdout. A subscription ends when stdin has more to read, or ends."""
    try:
        for batch in _batches(bus, request):
            rows = [
                codec.dumps({"stream": event.stream})[:-1] + _EVENT + event.raw + b"}"
                for event in batch.events
            ]
            rows += [codec.dumps({"gap": gap}) for gap in batch.gaps]
            rows.append(codec.dumps({"cursor": batch.cursor}))
            write_all(1, b"".join(row + b"\n" for row in rows))
        write_all(1, b'{"end":true}\n')
    except Fault as fault:
        fields = {name: getattr(fault, name) for name in ("status", "where", "what", "todo")}
        write_all(1, codec.dumps({"fault": fields}) + b"\n")


def _batches(bus: FileBus, request: bytes) -> Iterator[Batch]:
    try:
        asked = codec.loads(request)
        op, wanted = asked["op"], Filter(**asked.get("filter", {}))
        after = Cursor({str(stream): int(seq) for stream, seq in asked.get("cursor", {}).items()})
    except (ValueError, TypeError, KeyError, AttributeError) as reason:
        raise BadData(f"not a valid request: {reason}") from None
    if op == "publish":
        batch = Batch()
        batch.events.append(bus.publish(asked.get("draft", {})))
        yield batch
    elif op == "snapshot":
        yield from bus.snapshot(wanted, after)
    elif op == "subscribe":
        for batch in bus.subscribe(wanted, after, also=0):
            yield batch
            if _hung_up():
                return
    else:
        raise BadData(f"unknown op {op!r}", todo="publish, snapshot or subscribe")


def _hung_up() -> bool:
    import select

    return bool(select.select([0], [], [], 0)[0])
