"""What the palette finds for some words."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from coord_envelope.errors import Fault
from coord_kernel.views.text import Texts
from coord_kernel.views.text import words as words_of
from coord_web.render import plain
from coord_wk.items import Items

if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_shop import Reader

FOUND = 12
"""Items that it offers."""


def found(reader: Reader, text: str) -> list[dict[str, str]]:
    """Items whose id or texts have these words, the last of which may be begun only."""
    items = reader.items()
    names: list[str] = []
    with suppress(Fault):
        names.append(items.resolve(text))
    wanted = words_of(text)
    if wanted:
        wanted[-1] = wanted[-1] if wanted[-1].endswith("*") else f"{wanted[-1]}*"
        texts = Texts(reader.store, Items.fold).refresh()
        for name in texts.matching(items, wanted):
            names.append(name)
            if len(names) > FOUND:
                break
    rows: list[Json] = [{**items.row(name)} for name in dict.fromkeys(names)]
    fields = ("title", "id", "status", "work_id")
    return [{name: plain(row[name]) for name in fields} for row in rows]
