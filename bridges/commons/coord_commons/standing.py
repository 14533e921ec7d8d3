"""What stamps are worth: the standing of their givers, and the reputation that follows. Pure.

1. An opinion is what one party has stamped of another: of each dimension the mean. A hundred stamps
   say as much as one, only better founded.
2. Standing is a share of 1. In each of ROUNDS rounds a party gets half of its seed
   (`towns.Parties.seeds`), and half of the standing of each party is passed on: to the subjects
   of its opinions, in proportion to the opinions' sums. Who has none, or only zeros, keeps it.

       s(p) = seed(p) / 2 + sum over g of s(g) / 2 * o(g, p) / sum over q of o(g, q)

3. So what a set of parties that nobody outside has stamped holds together is at most the sum of its
   seeds, however its members stamp each other. A ring lifts nobody.
4. A weight is a standing times the number of parties: 1 is an even share.
5. A reputation is, of each dimension, the mean of the opinions, each with its giver's weight, and
   one 0 of weight 1: who is vouched for by little weight is near 0.
"""

from __future__ import annotations

from math import fsum

from coord_commons.market import DIMENSIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from coord_envelope.codec import Json

    Opinions = dict[tuple[str, str], list[float]]
    """(giver, subject) → of each dimension the mean."""

ROUNDS = 40
"""After 40 rounds what a further one would change is below 1e-12."""
PRIOR = 1.0


def opinions(stamps: Iterable[tuple[str, str, Json]]) -> Opinions:
    """Of (giver, subject, stamp)."""
    rows: dict[tuple[str, str], list[list[int]]] = {}
    for giver, subject, stamp in stamps:
        values = [stamp["body"][name] for name in DIMENSIONS]
        rows.setdefault((giver, subject), []).append(values)
    return {
        pair: [fsum(column) / len(column) for column in zip(*rows[pair], strict=True)]
        for pair in sorted(rows)
    }


def standing(seeds: Mapping[str, float], known: Opinions) -> dict[str, float]:
    """The standing of each party, a share of 1."""
    passed: dict[str, list[tuple[str, float]]] = {party: [] for party in seeds}
    for (giver, subject), values in known.items():
        if giver in passed and subject in passed:
            passed[giver].append((subject, fsum(values)))
    shares = dict(seeds)
    for _ in range(ROUNDS):
        coming: dict[str, list[float]] = {party: [seeds[party] / 2] for party in seeds}
        for giver, edges in passed.items():
            whole = fsum(value for _, value in edges)
            for subject, value in edges if whole else [(giver, 1.0)]:
                coming[subject].append(shares[giver] / 2 * value / (whole or 1.0))
        shares = {party: fsum(parts) for party, parts in coming.items()}
    return shares


def reputations(
    seeds: Mapping[str, float], stamps: Iterable[tuple[str, str, Json]]
) -> dict[str, Json]:
    """Of each party: standing, and if it was stamped the three dimensions, weight and counts."""
    given = list(stamps)
    known = opinions(given)
    shares = standing(seeds, known)
    rows: dict[str, Json] = {}
    for party in sorted(seeds):
        about = [(giver, values) for (giver, subject), values in known.items() if subject == party]
        weights = [shares.get(giver, 0.0) * len(seeds) for giver, _ in about]
        whole = fsum([PRIOR, *weights])
        row: Json = {"standing": round(shares[party] * len(seeds), 4)}
        for place, name in enumerate(DIMENSIONS):
            parts = [
                weight * values[place] for weight, (_, values) in zip(weights, about, strict=True)
            ]
            row[name] = round(fsum(parts) / whole, 4)
        row |= {"weight": round(fsum(weights), 4), "givers": len(about)}
        row["stamps"] = sum(subject == party for _, subject, _ in given)
        rows[party] = row
    return rows
