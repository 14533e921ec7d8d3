"""Slack's Web API, as far as the bridge uses it. What is posted names what it is, and is looked for
before it is posted again."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.web import WebClient

from coord_envelope.errors import TryAgain
from coord_kernel.cli.request import opener
from coord_slack import failures
from coord_slack.inbound import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json

RETRIES = 5
PAGE, PAGES = 200, 25


class Api:
    """The calls of one token."""

    def __init__(self, token: str, base: str) -> None:
        again = RateLimitErrorRetryHandler(max_retry_count=RETRIES)
        # The library opens with urllib's own, which would send the token where it is redirected to.
        urllib.request.install_opener(opener())
        self.client = WebClient(token=token, base_url=base, retry_handlers=[again])
        self._names: dict[tuple[str, str | None], dict[str, str]] = {}
        """Of a channel or thread: key → ts of what is there, as it was read back."""
        self._sure: set[str] = set()
        """Keys of which this process knows that nobody has tried to post them."""

    def me(self) -> str:
        """The id of the bot's user."""
        return self._field("auth_test", "user_id")

    def socket(self, token: str) -> str:
        """The URL of a new connection of Socket Mode."""
        return self._field("apps_connections_open", "url", app_token=token)

    def post(self, key: str, channel: str, root: str | None, text: str, blocks: Any) -> str:
        """Post, unless it is there; the ts. Raises TryAgain, Refused, BadData."""
        there = self._there(channel, root).get(key)
        if there:
            return there
        metadata = {"event_type": OURS, "event_payload": {"key": key}}
        try:
            return self._field(
                "chat_postMessage",
                "ts",
                channel=channel,
                thread_ts=root,
                text=text,
                blocks=blocks,
                metadata=metadata,
                unfurl_links=False,
                unfurl_media=False,
            )
        except TryAgain:
            self._names.pop((channel, root), None)  # it may be there all the same
            raise

    def update(self, channel: str, ts: str, text: str, blocks: Any) -> None:
        """Edit a message."""
        self._call("chat_update", channel=channel, ts=ts, text=text, blocks=blocks)

    def _there(self, channel: str, root: str | None) -> dict[str, str]:
        """What the bridge has posted there, read once and after each failure."""
        place = (channel, root)
        if place not in self._names:
            found: dict[str, str] = {}
            for message in self.messages(channel, root):
                metadata = message.get("metadata")
                metadata = metadata if isinstance(metadata, dict) else {}
                about = metadata.get("event_payload")
                key = about.get("key") if isinstance(about, dict) else None
                if metadata.get("event_type") == OURS and isinstance(key, str):
                    found.setdefault(key, str(message["ts"]))
            self._names[place] = found
        return self._names[place]

    def messages(self, channel: str, root: str | None = None, oldest: str = "0") -> Iterator[Json]:
        """The messages of a channel, or of a thread, newer than a ts; at most PAGES of PAGE."""
        cursor = None
        for _ in range(PAGES):
            more = {"channel": channel, "oldest": oldest, "limit": PAGE, "cursor": cursor}
            more["include_all_metadata"] = True
            if root:
                answer = self._call("conversations_replies", ts=root, **more)
            else:
                answer = self._call("conversations_history", **more)
            found = answer.get("messages")
            found = found if isinstance(found, list) else []
            yield from (message for message in found if _is_message(message))
            rest = answer.get("response_metadata")
            cursor = rest.get("next_cursor") if isinstance(rest, dict) else None
            if not cursor:
                return

    def _call(self, method: str, **values: Any) -> Json:
        try:
            answer = getattr(self.client, method)(**values)
        except SlackApiError as error:
            status = error.response.status_code
            what = str(error.response.get("error") or status)
            raise failures.refused(what, status, _named(method)) from None
        except Exception as error:  # of urllib, ssl, json: it was not reached, or it answers badly
            raise failures.lost(error, _named(method)) from None
        if not isinstance(answer.data, dict):
            raise TryAgain("the answer is not an object", _named(method))
        return answer.data

    def _field(self, method: str, name: str, **values: Any) -> str:
        """A text of the answer."""
        value = self._call(method, **values).get(name)
        if not isinstance(value, str) or not value:
            raise TryAgain(f"the answer has no {name}", _named(method))
        return value


def _named(method: str) -> str:
    """As Slack calls it: `auth.test`."""
    return method.replace("_", ".")


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("ts"), str)
