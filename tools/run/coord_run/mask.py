"""Masking: secrets in a stream of bytes, in every form that logs commonly give them.

A form is a sequence of units, each a few alternatives of which none begins like another:

    verbatim      the value, and each of its lines: a log may prefix them
    escaped       as in JSON (also within JSON), Python, a shell: \\" \\n \\x22 \\u0022
    quoted        a shell's '…'
    URL           %xx in either case, of any of its characters
    hexadecimal   in either case
    base64        standard or URL-safe, wrapped or not, at each of three offsets: within something
                  longer its encoding depends on where it begins

So one look at a place tells that a form is there, that it is not, or that the text ends within it:
then the rest is held back until more comes. Of several the longest is masked.
"""

from __future__ import annotations

import base64
import itertools
import os
import re

from coord_run.secret import SHORTEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Unit = tuple[bytes, ...]
    Form = Sequence[Unit]

STARS = b"***"
_ENDLESS = 1 << 62
_LETTERS = dict(zip("\a\b\t\n\v\f\r\x1b", "abtnvfre", strict=True))


class Mask:
    """Replaces secrets in a stream."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for value in secrets for form in _forms(os.fsencode(value))}
        self._forms, self._held = list(forms), b""
        begins = {begin for form in forms for begin in _begins(form)}
        self._begins = re.compile(b"(?=%b)" % b"|".join(map(re.escape, sorted(begins))))
        self._longest_begin = max(map(len, begins))

    def feed(self, data: bytes) -> bytes:
        """What may be written now; an end that may begin a secret is held back."""
        return self._masked(self._held + data, more=True)

    def end(self) -> bytes:
        """The rest."""
        return self._masked(self._held, more=False)

    def _masked(self, text: bytes, more: bool) -> bytes:
        out, done, self._held = b"", 0, b""
        near_end = max(0, len(text) - self._longest_begin + 1)
        starts = (match.start() for match in self._begins.finditer(text, 0))
        for start in itertools.chain(
            itertools.takewhile(lambda start: start < near_end, starts), range(near_end, len(text))
        ):
            if start < done:
                continue
            ends = (_end(form, text, start) for form in self._forms)
            end = max((end for end in ends if more or end < _ENDLESS), default=0)
            if end == _ENDLESS:
                self._held = text[start:]
                return out + text[done:start]
            if end:
                out, done = out + text[done:start] + STARS, end
        return out + text[done:]


def _end(form: Form, text: bytes, at: int) -> int:
    """Where the form that begins here ends; 0 if it does not; _ENDLESS if the text ends first."""
    for unit in form:
        for alternative in unit:
            if text.startswith(alternative, at):
                at += len(alternative)
                break
        else:
            rest = text[at : at + len(max(unit, key=len))]
            cut = any(len(rest) < len(each) and each.startswith(rest) for each in unit)
            return _ENDLESS if cut and at + len(rest) == len(text) else 0
    return at


def _begins(form: Form) -> Iterable[bytes]:
    """What texts of this form begin with: enough to find one, and few."""
    two = form[: 1 if len(form[0][0]) > 1 else 2]
    return (b"".join(parts)[:SHORTEST] for parts in itertools.product(*two))


def _forms(value: bytes) -> Iterable[Form]:
    lines = [line for line in value.splitlines() if len(line) >= SHORTEST]
    yield from (((text,),) for text in (value, *(lines if len(lines) > 1 else ())))
    characters = [os.fsencode(each) for each in value.decode("utf-8", "surrogateescape")]
    yield (escaped := tuple(map(_escaped, characters)))
    yield tuple(tuple(sorted(map(_as_json, unit))) for unit in escaped)
    bytes_ = [bytes((byte,)) for byte in value]
    yield tuple((b"'\\''", b"'\"'\"'") if byte == b"'" else (byte,) for byte in bytes_)
    yield tuple(map(_in_url, bytes_))
    yield tuple(tuple(_cases(b"%02x" % byte)) for byte in value)
    for before in range(3):
        text = base64.b64encode(b"\0" * before + value).rstrip(b"=")
        end = len(text) - ((before + len(value)) % 3 != 0)
        core = text[(0, 2, 3)[before] : end]
        if len(core) >= SHORTEST:
            first, *rest = map(_in_base64, core)
            yield (first, *(tuple(p + c for c in u for p in (b"", b"\n", b"\r\n")) for u in rest))


def _escaped(character: bytes) -> Unit:
    """A character in a string literal. Of several bytes each has an escape of its own."""
    text = os.fsdecode(character)
    plain = {character} if text != "\\" else set[bytes]()
    if not text.isalnum() and text.isascii():
        plain.add(b"\\" + character)
    if text in _LETTERS:
        plain.add(b"\\" + _LETTERS[text].encode())
    units = text.encode("utf-16-be", "surrogatepass")
    codes = [
        "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)),
        "".join(f"\\x{byte:02x}" for byte in character),
    ]
    upper = [re.sub("[a-f]", lambda digit: digit[0].upper(), code) for code in codes]
    octal = "".join(f"\\{byte:03o}" for byte in character)
    return tuple(sorted(plain | {code.encode() for code in (*codes, *upper, octal)}))


def _as_json(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _in_url(byte: bytes) -> Unit:
    plain = {b"%": (), b" ": (b" ", b"+"), b"+": (b"+",)}.get(byte, (byte,))
    return (*plain, *(b"%" + digits for digits in _cases(b"%02x" % byte[0])))


def _cases(digits: bytes) -> set[bytes]:
    """Two hexadecimal digits in either case, and mixed."""
    low, up = digits.lower(), digits.upper()
    return {low, up, low[:1] + up[1:], up[:1] + low[1:]}


def _in_base64(letter: int) -> Unit:
    other = {ord("+"): (b"+", b"-"), ord("/"): (b"/", b"_")}
    return other.get(letter, (bytes((letter,)),))
