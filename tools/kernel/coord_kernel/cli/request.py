"""Requests over HTTP that carry a credential: they go where they were sent, or nowhere."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
