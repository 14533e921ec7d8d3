"""Who may come in: a token for the path's project, and no page of a browser."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from coord_relay.tokens import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coord_relay.tokens import Token, Tokens

CONNECTIONS = 64
"""Most connections of a token."""
RATE, BURST = 64 << 20, 64 << 20
"""Bytes a second that a token may put, and how many at once."""
COST = 1 << 12
"""Bytes that a request counts as, besides its payload."""


class Denied(NamedTuple):
    """The answer to who may not."""

    status: int
    what: str


class Gate:
    """Decides by token, and slows down who sends too much."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self._connections: dict[str, int] = {}
        self._paces: dict[str, Pace] = {}

    def enter(self, project: str, headers: Mapping[str, str]) -> tuple[Token, str] | Denied:
        """The token of a request and its secret, or why it is denied."""
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
        return token, secret

    def count(self, token: Token, change: int) -> None:
        """A connection has begun or ended."""
        self._connections[token.digest] = self._connections.get(token.digest, 0) + change

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
