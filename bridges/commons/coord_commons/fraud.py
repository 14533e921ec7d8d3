"""Stamps that look arranged: each pattern with the events that show it. Pure.

Nothing here changes what a stamp is worth, and nobody is banned: a person looks.

    uniform   a giver whose stamps are nearly all the same three values
    circle    parties that stamp each other, directly or in a ring, and what share of the stamps
              that they got is their own. Looked for twice: among all stamps, and among those that
              are much of what the giver gave and of what the subject got, so that a ring that has
              stamped an outsider, and was stamped by one, is found, too
    burst     many stamps of one giver within a minute
    refused   a stamp that does not count, and why
"""

from __future__ import annotations

from coord_commons.market import DIMENSIONS
from coord_envelope import ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from coord_envelope.codec import Json

    Given = tuple[str, str, Json]
    """(giver, subject, stamp)"""

FEW, RATIO = 5, 0.9
"""So many stamps, of which so large a part is the same."""
MUCH = 4
"""A favoured subject gets a fourth of what the giver gives, and a favoured giver gives a fourth."""
BURST, WITHIN_MS = 10, 60_000


def flags(given: Sequence[Given], refused: Iterable[tuple[Json, str]]) -> list[Json]:
    """The rows of the view, each with its `evidence`."""
    rows = [*_uniform(given), *_circles(given), *_bursts(given)]
    rows += [
        {
            "flag": "refused",
            "who": [record["by"]],
            "why": why,
            "work_id": record["work"],
            "evidence": [record["id"]],
        }
        for record, why in refused
    ]
    return rows


def _by_giver(given: Iterable[Given]) -> dict[str, list[Json]]:
    stamps: dict[str, list[Json]] = {}
    for giver, _, stamp in given:
        stamps.setdefault(giver, []).append(stamp)
    return dict(sorted(stamps.items()))


def _uniform(given: Iterable[Given]) -> Iterator[Json]:
    for giver, stamps in _by_giver(given).items():
        valences: dict[tuple[int, ...], list[str]] = {}
        for stamp in stamps:
            values = tuple(stamp["body"][name] for name in DIMENSIONS)
            valences.setdefault(values, []).append(stamp["id"])
        values = min(valences, key=lambda each: (-len(valences[each]), each))
        ratio = len(valences[values]) / len(stamps)
        if len(stamps) >= FEW and ratio >= RATIO:
            row = {"flag": "uniform", "who": [giver], "ratio": round(ratio, 4)}
            yield {**row, "values": list(values), "evidence": valences[values]}


def _circles(given: Sequence[Given]) -> Iterator[Json]:
    seen = set[tuple[str, ...]]()
    for edges in ({(giver, subject) for giver, subject, _ in given}, _favoured(given)):
        for circle in circles(edges):
            if tuple(circle) in seen:
                continue
            seen.add(tuple(circle))
            got = [(giver, stamp) for giver, subject, stamp in given if subject in circle]
            inside = [stamp["id"] for giver, stamp in got if giver in circle]
            row = {"flag": "circle", "who": circle, "ratio": round(len(inside) / len(got), 4)}
            yield {**row, "evidence": inside}


def _favoured(given: Sequence[Given]) -> set[tuple[str, str]]:
    out: dict[str, int] = {}
    come: dict[str, int] = {}
    pairs: dict[tuple[str, str], int] = {}
    for giver, subject, _ in given:
        out[giver] = out.get(giver, 0) + 1
        come[subject] = come.get(subject, 0) + 1
        pairs[giver, subject] = pairs.get((giver, subject), 0) + 1
    return {
        (giver, subject)
        for (giver, subject), n in pairs.items()
        if n * MUCH >= out[giver] and n * MUCH >= come[subject]
    }


def circles(edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """The strongly connected components of two or more, each sorted.

    By Tarjan, without recursion.
    """
    after: dict[str, list[str]] = {}
    for giver, subject in sorted(edges):
        after.setdefault(giver, []).append(subject)
        after.setdefault(subject, [])
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []
    for root in after:
        todo = [(root, iter(after[root]))] if root not in number else []
        if todo:
            number[root] = low[root] = len(number)
            stack.append(root)
        while todo:
            node, rest = todo[-1]
            for other in rest:
                if other not in number:
                    number[other] = low[other] = len(number)
                    stack.append(other)
                    todo.append((other, iter(after[other])))
                    break
                if other in stack:
                    low[node] = min(low[node], number[other])
            else:
                todo.pop()
                if todo:
                    low[todo[-1][0]] = min(low[todo[-1][0]], low[node])
                if low[node] == number[node]:
                    at = stack.index(node)
                    part, stack[at:] = sorted(stack[at:]), []
                    found += [part] if len(part) > 1 else []
    return sorted(found)


def _bursts(given: Iterable[Given]) -> Iterator[Json]:
    for giver, stamps in _by_giver(given).items():
        rows = sorted((ids.stamp_of(stamp["id"]) >> 16, stamp["id"]) for stamp in stamps)
        first = 0
        while first < len(rows):
            end = first
            while end < len(rows) and rows[end][0] < rows[first][0] + WITHIN_MS:
                end += 1
            if end - first >= BURST:
                evidence = [at for _, at in rows[first:end]]
                row = {"flag": "burst", "who": [giver], "stamps": len(evidence)}
                yield {**row, "within_ms": rows[end - 1][0] - rows[first][0], "evidence": evidence}
                first = end
            else:
                first += 1
