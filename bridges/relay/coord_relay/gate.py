"""Who may come in: a token for the path's project, and no page of a browser."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from coord_envelope.errors import Refused
from coord_relay.tokens import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coord_relay.tokens import Token, Tokens

CONNECTIONS = 256
"""Most connections of a token."""
RATE, BURST = 64 << 20, 64 << 20
"""Bytes a second that a token may put, and how many at once."""
COST = 1 << 12
"""Bytes that a request counts as, besides its payload."""


class Denied(NamedTuple):
    """The answer to who may not."""

    status: int
    what: str


class Badge(NamedTuple):
    """A token that was shown at the gate."""

    token: Token
    secret: str


class Gate:
    """Decides by token, and slows down who sends too much."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self._connections: dict[str, int] = {}
        self._paces: dict[str, Pace] = {}

    def enter(self, project: str, headers: Mapping[str, str]) -> Badge | Denied:
        """What a request shows, or why it is denied."""
        if "origin" in headers:
            return Denied(403, "pages of a browser are not served")
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            return Denied(401, "send the header Authorization: Bearer TOKEN")
        token = self.tokens.find(project, secret) if NAME.fullmatch(project) else None
        if not token:
            known = self.tokens.known(secret)
            return (
                Denied(403, "the token is of another project")
                if known
                else Denied(401, "unknown token")
            )
        if self._connections.get(token.digest, 0) >= CONNECTIONS:
            return Denied(429, f"{CONNECTIONS} connections are open with this token")
        return Badge(token, secret)

    def again(self, badge: Badge) -> Token:
        """The token as it is now. Raises Refused if it was revoked."""
        token = self.tokens.find(badge.token.project, badge.secret)
        if not token:
            raise Refused("the token was revoked")
        return token

    @contextmanager
    def inside(self, badge: Badge) -> Iterator[None]:
        """While a connection is open."""
        digest = badge.token.digest
        self._connections[digest] = self._connections.get(digest, 0) + 1
        try:
            yield
        finally:
            self._connections[digest] -= 1

    async def pace(self, token: Token, size: int) -> None:
        """Wait until the token may put as much."""
        pace = self._paces.setdefault(token.digest, Pace())
        if wait := pace.seconds(size + COST, time.monotonic()):
            await asyncio.sleep(wait)


class Pace:
    """A leaky bucket."""

    def __init__(self) -> None:
        self._level, self._at = 0.0, 0.0

    def seconds(self, size: int, now: float) -> float:
        """Count bytes, and how long to wait before them."""
        self._level = max(0.0, self._level - (now - self._at) * RATE) + size
        self._at = now
        return max(0.0, (self._level - BURST) / RATE)
