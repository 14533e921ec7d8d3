"""How a remote may be reached: https, ssh, a path or file://, and http on this machine only.

All others are refused by name before git is run: some run a program (`ext::`), some talk to an
inherited descriptor (`fd::`), and some can be changed on their way (`git://`, `http://`).
"""

from __future__ import annotations

from coord_envelope.errors import Refused

SAFE = ("https", "ssh", "file")
GIT = (*SAFE, "http", "git", "ext", "fd", "ftp", "ftps", "git+ssh", "ssh+git", "git+https")
"""The schemes that are git's; others may be those of live remotes."""
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def check(url: str) -> None:
    """Raises Refused, unless git would use one of these transports for this URL."""
    name = scheme(url)
    if name and name not in SAFE and not _local_http(url):
        raise Refused(
            "not an allowed transport, nothing was sent",
            where=name,
            todo="use https, ssh or a path",
        )


def allowed(url: str) -> str:
    """GIT_ALLOW_PROTOCOL for this URL.

    git itself rewrites URLs (url.*.insteadOf) and follows redirects; this precedes all settings.
    """
    return ":".join((*SAFE, "http") if _local_http(url) else SAFE)


def scheme(url: str) -> str:
    """`NAME` of `NAME://…` and `NAME::…`; empty for a path and for ssh's `HOST:PATH`."""
    name, colon, rest = url.partition(":")
    named = name.isascii() and name.replace("+", "").replace("-", "").replace(".", "").isalnum()
    return name if colon and named and rest.startswith((":", "//")) else ""


def live(name: str) -> bool:
    """May it be the URL of a live remote? (Whether there is an engine for it is open.)"""
    known = scheme(name)
    return bool(known) and f"{known}://" in name and known not in GIT


def _local_http(url: str) -> bool:
    if not url.startswith("http://"):
        return False
    user, _, host = url[7:].partition("/")[0].rpartition("@")
    name, colon, port = host.rpartition(":")
    plain = not user or user.replace(":", "").isalnum()  # programs disagree on other users
    return plain and (name if colon and port.isdecimal() else host) in _LOOPBACK
