"""The file of a workspace: its channels, and who of its people is whom.

bot = "$SLACK_BOT_TOKEN"         # xoxb-…: reads and posts
app = "$SLACK_APP_TOKEN"         # xapp-…: Socket Mode
[people]                         # nobody else is heard
U012AB3CD = "human:ada"
[channels.C012AB3CD]             # nothing else is read
to = ["ada", "group:devs"]       # who has mail when somebody writes here
post = ["human:ada", "chan:news"]   # mail to these, and questions to these people, appear here
    work = "01KF4QBCFS000DHT52RH6PKMCY"  # what is written here is about this item
"""

from __future__ import annotations

import hashlib

from coord_envelope import BadData, codec, ids
from coord_envelope.event import recipient
from coord_envelope.platform import suppress
from coord_kernel.store import private, toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json

API = "https://slack.com/api/"


class Channel:
    """What a channel is for."""

    def __init__(self, to: list[str], post: list[str], work: str = "") -> None:
        self.to, self.post, self.work = to, post, work


class Settings:
    """A file that was read."""

    def __init__(self, path: str) -> None:
        self.path, self.api = path, API
        self.people: dict[str, str] = {}
        """Id of a user → address."""
        self.channels: dict[str, Channel] = {}
        self._bot = self._app = ""

    def bot(self) -> str:
        """The token that posts. Raises Usage, Refused."""
        return private.secret(self._bot, self.path)

    def app(self) -> str:
        """The token of Socket Mode. Raises Usage, Refused."""
        return private.secret(self._app, self.path)

    def channel_of(self, addresses: list[str]) -> str | None:
        """The first channel in which what is sent to one of these appears."""
        for name, channel in self.channels.items():
            if any(address in channel.post for address in addresses):
                return name
        return None

    @property
    def posted(self) -> set[str]:
        """All addresses of which something appears."""
        return {address for channel in self.channels.values() for address in channel.post}

    @property
    def digest(self) -> str:
        """Of what decides which events concern the bridge."""
        text = codec.dumps(sorted(self.posted))
        return hashlib.blake2b(text, digest_size=8).hexdigest()

    def load(self) -> Settings:
        """Read it. Raises BadData."""
        table = toml.load(self.path)
        if table is None:
            raise BadData("no such file", where=self.path)
        for name in set(table) - {"bot", "app", "api", "people", "channels"}:
            raise BadData(f"unknown field {name!r}", where=self.path)
        self._bot, self._app = _text(table, "bot", self.path), _text(table, "app", self.path)
        self.api = _api(table.get("api", API), self.path)
        for user, address in _table(table, "people", self.path).items():
            self.people[user] = _address(address, f"{self.path}: people.{user}")
            if not self.people[user].startswith("human:"):
                raise BadData("not a person", f"{self.path}: people.{user}", "use human:NAME")
        for name, channel in _table(table, "channels", self.path).items():
            where = f"{self.path}: channels.{name}"
            if not isinstance(channel, dict) or set(channel) - {"to", "post", "work"}:
                raise BadData("not a channel", where=where, todo="use to, post and work")
            work = channel.get("work", "")
            if work and not ids.valid(work):
                raise BadData("work is not a full id", where=where, todo="see `wk show`")
            to, post = (_addresses(channel, each, where) for each in ("to", "post"))
            self.channels[name] = Channel(to, post, work)
        if not self.channels or not self.people:
            raise BadData("no channels or no people", where=self.path, todo="see coord-slack(8)")
        return self


def _text(table: Json, name: str, path: str) -> str:
    value = table.get(name)
    if isinstance(value, str) and value.strip():
        return value
    what = "is missing"
    if name in table:
        what = "is empty" if isinstance(value, str) else "is not text"
    todo = f'{name} = "$SLACK_{name.upper()}_TOKEN"'
    raise BadData(f"{name} {what}", where=path, todo=todo)


def _api(value: object, path: str) -> str:
    """The address of the Web API, with `/` at its end."""
    from urllib.parse import urlsplit  # 3 ms

    with suppress(ValueError):  # a port, or brackets
        url = urlsplit(value if isinstance(value, str) else "")
        if url.scheme in ("http", "https") and url.hostname and url.port != 0:
            return f"{str(value).rstrip('/')}/"
    what = "api is not a URL of http or https"
    raise BadData(what, where=path, todo=f'api = "{API}", or leave it out')


def _table(table: Json, name: str, path: str) -> Json:
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise BadData(f"{name} is not a table", where=path)
    return value


def _addresses(table: Json, name: str, where: str) -> list[str]:
    value = table.get(name, [])
    if not isinstance(value, list):
        raise BadData(f"{name} is not a list", where=where)
    return [_address(text, where) for text in value]


def _address(text: object, where: str) -> str:
    try:
        return recipient(text if isinstance(text, str) else "")
    except ValueError as reason:
        raise BadData(str(reason), where=where) from None
