"""Secrets: looked up where the job runs, and masked in its output. Events have only their names."""

from __future__ import annotations

import base64
import os
import re
import stat
from urllib.parse import quote, quote_plus

from coord_envelope import world
from coord_run.failure import CannotRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

STARS = b"***"
SHORTEST = 6
"""Fewest bytes of a value: masking a shorter text would hit others, too."""


def config(*names: str) -> str:
    """A path in the user's own configuration, outside of every repository."""
    home = world.getenv("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(home, "coord", *names)


def values(names: Iterable[str]) -> dict[str, str]:
    """The values: from this process's environment, else from `~/.config/coord/secrets/NAME`.

    Raises CannotRun.
    """
    return {name: _value(name) for name in names}


def _value(name: str) -> str:
    value = world.getenv(name) or _filed(name)
    if value is None:
        raise CannotRun(
            f"secret {name}: neither in the worker's environment nor in {config('secrets')}"
        )
    if len(os.fsencode(value)) < SHORTEST or "\0" in value:
        raise CannotRun(
            f"secret {name}: less than {SHORTEST} bytes, or a zero byte: it cannot be masked"
        )
    return value


def _filed(name: str) -> str | None:
    path = config("secrets", name)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotRun(f"secret {name}: {(error.strerror or '').lower()}") from None
    with open(fd, "rb") as file:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o077:
            raise CannotRun(f"secret {name}: others may read {path}; chmod 600 it")
        return os.fsdecode(file.read(1 << 16).removesuffix(b"\n"))


class Mask:
    """Replaces secrets in a stream: verbatim, in base64, and URL-encoded."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for value in secrets for form in _forms(os.fsencode(value))}
        self._forms, self._held = sorted(forms, key=len, reverse=True), b""
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms)))

    def feed(self, data: bytes) -> bytes:
        """What may be written now; an end that may begin a secret is held back."""
        text = self._held + data
        matches = list(self._pattern.finditer(text))
        done = matches[-1].end() if matches else 0
        held = max(self._begins(text[done:], form) for form in self._forms)
        starts = (match.start() for match in matches)
        held = next((len(text) - start for start in starts if self._grows(text, start)), held)
        self._held = text[len(text) - held :]
        return self._pattern.sub(STARS, text[: len(text) - held])

    def _begins(self, text: bytes, form: bytes) -> int:
        """How many bytes at the end of the text are the beginning of this form."""
        most = min(len(form) - 1, len(text))
        return next((n for n in range(most, 0, -1) if text.endswith(form[:n])), 0)

    def _grows(self, text: bytes, start: int) -> bool:
        """Is the rest of the text, itself a secret maybe, the beginning of a longer form?"""
        left = len(text) - start
        return left < len(self._forms[0]) and any(
            len(form) > left and form.startswith(text[start:]) for form in self._forms
        )

    def end(self) -> bytes:
        """The rest."""
        rest, self._held = self._held, b""
        return self._pattern.sub(STARS, rest)


def _forms(value: bytes) -> Iterable[bytes]:
    yield value
    lines = [line for line in value.splitlines() if len(line) >= SHORTEST]
    yield from lines if len(lines) > 1 else ()  # a log may prefix each line of a key
    yield quote(value, safe="").encode()
    yield quote(value).encode()
    yield quote_plus(value).encode()
    for before in range(3):  # within something longer: its encoding depends on its offset there
        text = base64.b64encode(b"\0" * before + value).rstrip(b"=")
        end = len(text) - ((before + len(value)) % 3 != 0)
        core = text[(0, 2, 3)[before] : end]
        if len(core) >= SHORTEST:
            yield core
            yield core.translate(bytes.maketrans(b"+/", b"-_"))
