"""What the user agreed to: where the events of this store may go.

coord.toml comes from whoever can push to the repository. What it says about remotes, and about refs
outside refs/coord/, counts only after the user agreed to that very value, by `ev sync --remote` or
`ev trust`. A remote that was chosen stays at the URL that it had then.

The values are in `local/.git/trust`: of one store, and moved together with it. No clone or checkout
can bring that file, even of a repository with a store committed to it, because git accepts no path
with `.git` in it. They are kept whole, as a digest could not show what has changed.
"""

from __future__ import annotations

from coord_envelope import codec
from coord_envelope.errors import BadData
from coord_envelope.platform import suppress
from coord_kernel.store.config import CONFIG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_kernel.store.directory import Store

_TRUST = ("local", ".git", "trust")
_CHOSEN = ("local", "remote")


def chosen(store: Store) -> list[str]:
    """The remotes that `ev sync --remote` has chosen."""
    saved = (store.load(*_CHOSEN) or b"").decode("utf-8", "surrogateescape")
    return [name for name in map(str.strip, saved.split("\n")) if name]


def choose(store: Store, name: str, url: str, others: Sequence[str] = ()) -> None:
    """Sync with this remote, at this URL, from now on, and with those others."""
    agree(store, {f"remote {name}": url})
    names = [*others, name] if name not in others else others
    if chosen(store) != names:
        text = "".join(f"{each}\n" for each in names)
        store.save(text.encode("utf-8", "surrogateescape"), *_CHOSEN)


def proposed(section: dict[str, object], key: str) -> str | None:
    """A text of coord.toml's [sync]. Raises BadData."""
    value = section.get(key)
    if value is not None and not isinstance(value, str):
        raise BadData(f"[sync] {key} is not a string", where=CONFIG, todo="correct the file")
    return value


def agreed(store: Store, setting: str) -> str | None:
    """The value of a setting that the user agreed to."""
    return (_saved(store) or {}).get(setting)


def agree(store: Store, values: dict[str, str]) -> None:
    """The user agrees to these values of settings."""
    known = _saved(store) or {}
    if known | values != known or not known:
        data = codec.dumps(known | values)
        store.save(data + b"\n", *_TRUST)


def forget(store: Store, name: str) -> None:
    """The user agrees no more to this remote, and does not sync with it."""
    known = _saved(store) or {}
    others = {setting: value for setting, value in known.items() if setting != f"remote {name}"}
    store.save(codec.dumps(others) + b"\n", *_TRUST)
    names = [each for each in chosen(store) if each != name]
    text = "".join(f"{each}\n" for each in names)
    store.save(text.encode("utf-8", "surrogateescape"), *_CHOSEN)


def begin(store: Store) -> None:
    """A new store: nobody has agreed to anything."""
    if _saved(store) is None:
        agree(store, {})


def older(store: Store) -> bool:
    """Is this the store of a version that asked for no consent? What it has chosen stays."""
    return _saved(store) is None and store.load(".git", "HEAD") is not None


def _saved(store: Store) -> dict[str, str] | None:
    data = store.load(*_TRUST)
    if data is None:
        return None
    with suppress(ValueError):
        values = codec.loads(data)
        if isinstance(values, dict):
            return {name: value for name, value in values.items() if isinstance(value, str)}
    return {}
