"""The types that a filter wants: by the beginning where that is enough, and the same answer."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from coord_envelope.event import Event
from coord_envelope.filter import Filter

GLOBS = st.lists(st.text("ab.*?[]!", min_size=1, max_size=4), min_size=1, max_size=3)


@given(GLOBS, st.lists(st.text("ab.[", max_size=4)))
def test_types_are_globs(globs: list[str], kinds: list[str]) -> None:
    wanted, unwanted = Filter(types=globs), Filter(not_types=globs)
    for kind in kinds:
        event = Event(b"", {"type": kind, "ts": "", "actor": {"agent_id": "agent:x"}})
        fits = any(fnmatchcase(kind, glob) for glob in globs)
        assert (wanted(event), unwanted(event)) == (fits, not fits)
