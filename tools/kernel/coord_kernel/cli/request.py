"""Requests over HTTP: they go where they were sent, or nowhere, and take a limited time."""

from __future__ import annotations

import signal
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPMessage
    from typing import IO


class Direct(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: urllib would make a GET of a POST, and take its headers along.

    The answer 302 is an HTTPError then, as 404 is.
    """

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def opener() -> urllib.request.OpenerDirector:
    """What opens requests without following redirections."""
    return urllib.request.build_opener(Direct)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after this time. For the main thread.

    The timeout of a socket is one of silence: who sends a byte now and then is never silent.
    """

    def late(_number: int, _frame: object) -> None:
        raise TimeoutError(f"no answer in {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    # Again every second: a library may have caught the first.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
