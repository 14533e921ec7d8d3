"""The bus through a pair of pipes: `python -m coord_kernel.cli.serve` serves this directory's store on them.

Requests and answers are JSON objects, one a line; spec/bus.md has them. An event travels as its own bytes.
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
    """The bus that a command serves on its stdin and stdout, on this machine or (`ssh HOST …`) on another."""

    def __init__(self, argv: Sequence[str]) -> None:
        """Each call starts it anew, so a subscription is in nobody's way."""
        self._argv = argv

    def publish(self, draft: Json) -> Event:
        """The event, when it is on the disk over there. Raises its faults; Unreachable: whether it is, is unknown."""
        (batch,) = self._ask({"op": "publish", "draft": draft})
        return batch.events[0]

    def snapshot(self, wanted: Filter | None, after: Cursor) -> Iterator[Batch]:
        yield from self._ask(_request("snapshot", wanted, after))

    def subscribe(self, wanted: Filter | None, after: Cursor) -> Iterator[Batch]:
        """Raises Unreachable when the other end is gone: begin again behind the last batch's cursor."""
        yield from self._ask(_request("subscribe", wanted, after))

    def _ask(self, request: Json) -> Iterator[Batch]:
        import subprocess

        other = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert other.stdin
            other.stdin.write(codec.dumps(request) + b"\n")
            other.stdin.flush()
            yield from _answers(other)
        except BrokenPipeError:
            raise Unreachable("the other end of the bus is gone", where=self._argv[0]) from None
        finally:
            _close(other)


def _request(op: str, wanted: Filter | None, after: Cursor) -> Json:
    return {"op": op, "filter": wanted.said if wanted else {}, "cursor": after}


def _answers(other: Popen[bytes]) -> Iterator[Batch]:
    assert other.stdout
    batch = Batch()
    for line in other.stdout:
        if not line.endswith(b"}\n"):
            break  # it died in the middle of it
        if line.startswith(b'{"stream":'):
            head, _, raw = line[:-2].partition(_EVENT)
            batch.events.append(
                Event(raw, codec.loads(raw), codec.loads(head + b"}")["stream"])
            )  # may have a $dup
            continue
        said = codec.loads(line)
        if "gap" in said:
            batch.gaps.append(said["gap"])
        elif "cursor" in said:
            batch.cursor = Cursor(said["cursor"])
            yield batch
            batch = Batch()
        elif "fault" in said:
            raise _fault(said["fault"])
        else:
            return
    raise Unreachable("the other end of the bus is gone", where=str(other.args[0]))  # type: ignore[index]


def _fault(said: Json) -> Fault:
    fault = Fault(said["what"], said["where"], said["todo"])
    fault.status = said["status"]
    return fault


def _close(other: Popen[bytes]) -> None:
    for pipe in (other.stdin, other.stdout):
        if pipe:
            with suppress(BrokenPipeError):  # it was gone before it had read what we asked
                pipe.close()
    other.wait()


def serve(bus: FileBus, request: bytes) -> None:
    """Answer one request on stdout. A subscription ends when stdin does, or anything more comes on it."""
    try:
        for batch in _found(bus, request):
            rows = [
                codec.dumps({"stream": one.stream})[:-1] + _EVENT + one.raw + b"}"
                for one in batch.events
            ]
            rows += [codec.dumps({"gap": gap}) for gap in batch.gaps]
            write_all(
                1, b"".join(row + b"\n" for row in (*rows, codec.dumps({"cursor": batch.cursor})))
            )
        write_all(1, b'{"end":true}\n')
    except Fault as fault:
        words = {
            "status": fault.status,
            "where": fault.where,
            "what": fault.what,
            "todo": fault.todo,
        }
        write_all(1, codec.dumps({"fault": words}) + b"\n")


def _found(bus: FileBus, request: bytes) -> Iterator[Batch]:
    try:
        asked = codec.loads(request)
        op, wanted = asked["op"], Filter(**asked.get("filter", {}))
        after = Cursor({str(stream): int(seq) for stream, seq in asked.get("cursor", {}).items()})
    except (ValueError, TypeError, KeyError, AttributeError) as reason:
        raise BadData(f"no request of a bus: {reason}") from None
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
        raise BadData(f"{op!r} is no request of a bus", todo="publish, snapshot or subscribe")


def _hung_up() -> bool:
    import select

    return bool(select.select([0], [], [], 0)[0])
