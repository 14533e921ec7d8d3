"""Parts of the standard library by their fast doors, each with the public module behind it.

The public modules load others first: `json` its patterns (`re`, 5 ms), `sqlite3` 7 ms of dates,
`signal` its enum (3 ms), `socket` that and selectors (8 ms), `contextlib` functools and collections
(3 ms), `typing` them all. A command that lives 30 ms goes through the C module below instead. Where
this Python lacks it, or calls it otherwise, the public module answers in the same way; nothing else
may import one of these names.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    import sqlite3
    from collections.abc import Callable
    from contextlib import contextmanager, suppress
    from typing import Any, NamedTuple, NoReturn
else:

    class suppress:  # noqa: N801
        """Go on behind the block if it raises one of these."""

        def __init__(self, *kinds):
            self._kinds = kinds

        def __enter__(self):
            pass

        def __exit__(self, kind, error, trace):
            return kind is not None and issubclass(kind, self._kinds)

    class NamedTuple(tuple):
        """A tuple with a name for each place, as `typing.NamedTuple`."""

        __slots__ = ()

        def __init_subclass__(cls):
            cls._fields = tuple(cls.__annotations__)
            cls._defaults = {name: vars(cls)[name] for name in cls._fields if name in vars(cls)}
            for place, name in enumerate(cls._fields):
                setattr(cls, name, property(lambda self, place=place: self[place]))

        def __new__(cls, *values, **named):
            given = dict(zip(cls._fields, values, strict=False))
            whole = cls._defaults | given | named
            if given.keys() & named or len(values) > len(given) or whole.keys() != {*cls._fields}:
                raise TypeError(f"{cls.__name__}: not its fields: {values} {named}")
            return tuple.__new__(cls, [whole[name] for name in cls._fields])

        def _replace(self, **named):
            return type(self)(**(dict(zip(self._fields, self, strict=True)) | named))

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            pairs = zip(self._fields, self, strict=True)
            return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in pairs)})"

    class _Steps:
        def __init__(self, steps):
            self._steps = steps

        def __enter__(self):
            return next(self._steps)

        def __exit__(self, kind, error, trace):
            if error is None:
                next(self._steps, None)
                return False
            try:
                self._steps.throw(error)
            except StopIteration:
                return True
            except BaseException as raised:
                if raised is error:
                    return False
                raise
            raise RuntimeError("it goes on behind what was raised")

    def contextmanager(function):
        """What the generator yields once is what the block has; the rest runs behind it."""
        return lambda *given, **named: _Steps(function(*given, **named))

    def _sqlite3():
        # When it is loaded it takes one function from functools, which loads six other modules.
        import sys

        if "functools" in sys.modules:
            return __import__("_sqlite3")
        from _functools import _lru_cache_wrapper as cache

        functools = sys.modules["functools"] = type(sys)("functools")
        functools.lru_cache = lambda most: lambda call: cache(call, most, False, tuple)
        try:
            return __import__("_sqlite3")
        finally:
            del sys.modules["functools"]

    def __getattr__(name):
        """`signal`, `socket` and `sqlite3`, loaded when they are first asked for."""
        if name not in ("signal", "socket", "sqlite3"):
            raise AttributeError(name)
        try:
            module = _sqlite3() if name == "sqlite3" else __import__(f"_{name}")
        except (ImportError, AttributeError):
            module = __import__(name)
        globals()[name] = module
        return module


def scanner(rules: Any) -> Callable[[str, int], tuple[Any, int]]:
    """The scanner of one JSON value in a text: (text, start) → (value, end).

    It raises StopIteration where there is no value, ValueError where it is wrong.

    `rules` has the attributes of a `json.JSONDecoder`: strict, object_hook, object_pairs_hook,
    parse_float, parse_int, parse_constant, memo.
    """
    try:
        from _json import make_scanner

        return make_scanner(rules)
    except (ImportError, TypeError, AttributeError):
        import json

        decoder = json.JSONDecoder(
            parse_float=rules.parse_float,
            parse_int=rules.parse_int,
            parse_constant=rules.parse_constant,
            strict=rules.strict,
        )
        return decoder.scan_once  # type: ignore[no-any-return, attr-defined]


def encoder(sort: bool = False) -> Callable[[object], str]:
    """The encoder of compact JSON, not escaped to ASCII. It raises ValueError, TypeError.

    With `sort` the keys of an object are in order, not as they were put in.
    """
    try:
        from _json import encode_basestring, make_encoder

        def encode(value: object) -> str:
            parts = make_encoder({}, _refuse, encode_basestring, None, ":", ",", sort, False, False)
            return "".join(parts(value, 0))

        encode({"probe": [1, "a", None]})
    except (ImportError, TypeError):
        import json

        public = json.JSONEncoder(
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            sort_keys=sort,
            default=_refuse,
        )
        return public.encode
    return encode


_MUCH = 2 << 20


def sha1(data: bytes) -> Any:
    """The hash of these bytes, as git's ids; see `sha256`."""
    with suppress(ImportError):
        return __import__("_sha1").sha1(data)
    from hashlib import sha1

    return sha1(data)


def sha256(size: int = 0) -> Any:
    """A new hash, of about so many bytes.

    That of `hashlib` loads OpenSSL, 3 ms, and is faster from a few MB on.
    """
    for name in ("_sha256", "_sha2") if size < _MUCH else ():
        with suppress(ImportError):
            return __import__(name).sha256()
    from hashlib import sha256

    return sha256()


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} is not JSON")


__all__ = [
    "NamedTuple",
    "contextmanager",
    "encoder",
    "scanner",
    "sha1",
    "sha256",
    "signal",
    "socket",
    "sqlite3",
    "suppress",
]
