"""Which repository, with which token, and who is who."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from coord_envelope import BadData, Usage, world
from coord_envelope.errors import Refused
from coord_envelope.event import address
from coord_github.api import HOME
from coord_github.items import People
from coord_kernel.cli import urls
from coord_kernel.cli.values import span
from coord_kernel.store import locate, private

if TYPE_CHECKING:
    from coord_kernel import Store

TOKEN, URL, REPOSITORY = "COORD_GITHUB_TOKEN", "COORD_GITHUB_URL", "COORD_GITHUB_REPOSITORY"
_SLUG = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
_LOCAL = ("localhost", "127.0.0.1", "::1")


def slug(text: str | None) -> str:
    """OWNER/REPO, in lower case. Never of coord.toml, which whoever can push may change.

    Raises Usage.
    """
    named = text or world.getenv(REPOSITORY)
    if not named:
        raise Usage("no repository", todo=f"name OWNER/REPO, or set {REPOSITORY}")
    if not _SLUG.fullmatch(named) or named.endswith(("/.", "/..")):
        raise Usage(f"not a valid repository: {named[:80]!r}", todo="use OWNER/REPO")
    return named.lower()


def base() -> str:
    """Where the REST API is. Raises Usage, Refused."""
    url = (world.getenv(URL) or HOME).rstrip("/")
    try:
        parts = urls.http(url)
    except BadData as fault:
        raise Usage(fault.what, where=URL, todo=f"use {HOME}") from None
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        raise Refused("a token is not sent unencrypted", where=URL, todo="use https://…")
    return url


def token() -> str:
    """The token: of the environment, else of a file that only the user can read.

    Raises Usage, Refused.
    """
    if value := world.getenv(TOKEN):
        return value
    home = world.getenv("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    path = os.path.join(home, "coord", "secrets", TOKEN)
    if not os.path.exists(path):
        raise Usage("no token", todo=f"set {TOKEN}, or write it to {path}, mode 0600")
    private.check(path)
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(1 << 12).strip()


def people(store: Store) -> People:
    """`[github] people` of coord.toml. Raises BadData."""
    table = _section(store).get("people", {})
    if not isinstance(table, dict):
        raise BadData("github.people is not a table", "coord.toml", todo='"agent:ada" = "ada-l"')
    logins = {}
    for name, login in table.items():
        try:
            logins[address(name)] = str(login)
        except ValueError as reason:
            raise BadData(f"github.people: {reason}", "coord.toml") from None
    return People(logins)


def interval_ms(store: Store) -> int:
    """`[github] interval` of coord.toml: the time between two looks. Raises BadData."""
    text = _section(store).get("interval", "1m")
    if not isinstance(text, str):
        raise BadData("github.interval is not a time", "coord.toml", todo='use "1m"')
    try:
        return span(text, "github.interval", least=1_000)
    except Usage as fault:
        raise BadData(fault.what, "coord.toml", todo=fault.todo) from None


def _section(store: Store) -> dict[str, object]:
    table = locate.section(store, "github")
    for name in table:
        if name not in ("people", "interval"):
            raise BadData(
                f"not a valid setting: github.{name}", "coord.toml", todo="use people, interval"
            )
    return table
