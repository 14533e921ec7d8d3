"""The remotes of the user's repository, as its configuration file names them. git is not run."""

from __future__ import annotations

import os
import re

from coord_envelope.platform import suppress
from coord_kernel.store.config import slug

LONGEST = 1 << 20
"""Bytes of the file that are looked at."""


def remotes(common: str) -> dict[str, str]:
    """The URL of each remote in the configuration of a git common directory."""
    urls: dict[str, str] = {}
    with suppress(OSError), open(os.path.join(common, "config"), errors="replace") as file:
        remote = None
        for line in file.read(LONGEST).split("\n"):
            if section := re.match(r'\s*\[(?:remote\s+"([^"]*)")?', line, re.IGNORECASE):
                remote = section[1]
            key, _, value = line.partition("=")
            if remote and key.strip().lower() == "url":
                urls.setdefault(remote, value.strip().strip('"'))
    return urls


def usual(common: str) -> str | None:
    """The remote that a user means without a name: origin, or else the only one."""
    names = list(remotes(common))
    return "origin" if "origin" in names else names[0] if len(names) == 1 else None


def name(common: str) -> str | None:
    """The repository's name, as a slug: the last part of the usual remote's URL."""
    remote = usual(common)
    if remote is None:
        return None
    path = remotes(common)[remote].rstrip("/").removesuffix("/.git")
    last = re.split(r"[/:]", path)[-1].removesuffix(".git")
    return slug(last) if re.search("[0-9A-Za-z]", last) else None
