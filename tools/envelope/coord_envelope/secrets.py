"""Credentials that must not enter a journal: it is synced, and never rewritten.

A short literal list, not a scanner: it stops a token that was pasted by accident, no more.
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
"""Patterns of credentials, by the plain bytes that every match contains."""


def refuse_secret(raw: bytes) -> None:
    """Raise Refused if the line seems to hold a credential; shows its first characters only."""
    for mark, pattern in PATTERNS.items():
        if mark in raw:
            import re

            match = re.search(pattern, raw)
            if match:
                what = f"holds what looks like a credential ({match[0][:8].decode()}…)"
                raise Refused(what, todo="remove it, or use --allow-secret")
