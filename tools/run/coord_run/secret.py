"""Secrets: their values are looked up where the job runs, and masked in what it prints. Events have names only."""

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
"""Bytes of a value: a shorter one cannot be told from any other text."""


def config(*names: str) -> str:
    """A path in the user's own configuration, outside of every repository."""
    home = world.getenv("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(home, "coord", *names)


def values(names: Iterable[str]) -> dict[str, str]:
    """The values: from this process's environment, else from `~/.config/coord/secrets/NAME`. Raises CannotRun."""
    return {name: _value(name) for name in names}


def _value(name: str) -> str:
    found = world.getenv(name) or _filed(name)
    if found is None:
        raise CannotRun(
            f"secret {name} is neither in the worker's environment nor in {config('secrets')}"
        )
    if len(os.fsencode(found)) < SHORTEST or "\0" in found:
        raise CannotRun(
            f"secret {name} has less than {SHORTEST} bytes, or a zero byte: it cannot be masked"
        )
    return found


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
    """Replaces secrets in a stream: as they are, in base64, and as a URL has them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = sorted(
            {form for one in secrets for form in _forms(os.fsencode(one))}, key=len, reverse=True
        )
        self._forms, self._held = forms, b""
        self._pattern = re.compile(b"|".join(map(re.escape, forms)))

    def feed(self, data: bytes) -> bytes:
        """What may be written now; an end that may begin a secret is held back."""
        text = self._held + data
        found = list(self._pattern.finditer(text))
        done = found[-1].end() if found else 0
        held = max(self._begins(text[done:], form) for form in self._forms)
        longer = (len(text) - one.start() for one in found if self._grows(text, one.start()))
        held = next(longer, held)
        self._held = text[len(text) - held :]
        return self._pattern.sub(STARS, text[: len(text) - held])

    def _begins(self, text: bytes, form: bytes) -> int:
        most = min(len(form) - 1, len(text))
        return next((n for n in range(most, 0, -1) if text.endswith(form[:n])), 0)

    def _grows(self, text: bytes, at: int) -> bool:
        """Is what begins here, a whole secret maybe, the beginning of a longer one?"""
        left = len(text) - at
        return left < len(self._forms[0]) and any(
            len(one) > left and one.startswith(text[at:]) for one in self._forms
        )

    def end(self) -> bytes:
        """The rest."""
        rest, self._held = self._held, b""
        return self._pattern.sub(STARS, rest)


def _forms(value: bytes) -> Iterable[bytes]:
    yield value
    lines = [line for line in value.splitlines() if len(line) >= SHORTEST]
    yield from lines if len(lines) > 1 else ()  # as a log prefixes each line of a key
    yield quote(value, safe="").encode()
    yield quote(value).encode()
    yield quote_plus(value).encode()
    for before in range(3):  # as a part of something longer: where it begins decides how it looks
        text = base64.b64encode(b"\0" * before + value).rstrip(b"=")
        end = len(text) - ((before + len(value)) % 3 != 0)
        core = text[(0, 2, 3)[before] : end]
        if len(core) >= SHORTEST:
            yield core
            yield core.translate(bytes.maketrans(b"+/", b"-_"))
