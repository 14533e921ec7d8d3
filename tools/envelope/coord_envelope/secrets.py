"""Credentials that must not enter a journal: it is synced, and never rewritten.

A short literal list, not a scanner: it stops the accident of a pasted token, and promises no more.
"""

from __future__ import annotations

from coord_envelope.errors import Refused

PATTERNS = {
    b"AKIA": rb"AKIA[0-9A-Z]{16}",
    b"ghp_": rb"ghp_[A-Za-z0-9]{36}",
    b"gho_": rb"gho_[A-Za-z0-9]{36}",
    b"github_pat_": rb"github_pat_[A-Za-z0-9_]{50}",
    b"glpat-": rb"glpat-[A-Za-z0-9_-]{20}",
    b"xoxb-": rb"xoxb-[0-9]+-[0-9A-Za-z-]{20}",
    b"xoxp-": rb"xoxp-[0-9]+-[0-9A-Za-z-]{20}",
    b"sk-ant-": rb"sk-ant-[A-Za-z0-9_-]{20}",
    b"sk_live_": rb"sk_live_[A-Za-z0-9]{20}",
    b"AIza": rb"AIza[0-9A-Za-z_-]{35}",
    b"PRIVATE KEY-----": rb"-----BEGIN [A-Z ]*PRIVATE KEY-----",
}
"""What a line is searched for, by the plain bytes that must be in it first."""


def refuse_secret(raw: bytes) -> None:
    """Raise Refused if the line holds what looks like a credential. Prints its first characters only."""
    for mark, pattern in PATTERNS.items():
        if mark in raw:
            import re

            found = re.search(pattern, raw)
            if found:
                what = f"holds what looks like a credential ({found[0][:8].decode()}…)"
                raise Refused(what, todo="leave it out, or --allow-secret")
