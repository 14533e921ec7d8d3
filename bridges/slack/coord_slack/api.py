"""Slack's Web API, as far as the bridge uses it. What is posted names what it is, and is looked for
before it is posted again."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.web import WebClient

from coord_envelope.errors import BadData, Refused, TryAgain
from coord_kernel.cli.request import opener
from coord_slack.inbound import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json

RETRIES = 5
PAGE, PAGES = 200, 25
_REFUSED = (
    *("invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"),
    *("missing_scope", "not_in_channel", "channel_not_found", "restricted_action"),
)


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
        return str(self._call("auth_test")["user_id"])

    def socket(self, token: str) -> str:
        """The URL of a new connection of Socket Mode."""
        return str(self._call("apps_connections_open", app_token=token)["url"])

    def post(self, key: str, channel: str, root: str | None, text: str, blocks: Any) -> str:
        """Post, unless it is there; the ts. Raises TryAgain, Refused, BadData."""
        there = self._there(channel, root).get(key)
        if there:
            return there
        metadata = {"event_type": OURS, "event_payload": {"key": key}}
        try:
            answer = self._call(
                "chat_postMessage",
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
        return str(answer["ts"])

    def update(self, channel: str, ts: str, text: str, blocks: Any) -> None:
        """Edit a message."""
        self._call("chat_update", channel=channel, ts=ts, text=text, blocks=blocks)

    def _there(self, channel: str, root: str | None) -> dict[str, str]:
        """What the bridge has posted there, read once and after each failure."""
        place = (channel, root)
        if place not in self._names:
            found: dict[str, str] = {}
            for message in self.messages(channel, root):
                metadata = message.get("metadata") or {}
                key = (metadata.get("event_payload") or {}).get("key")
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
            yield from answer.get("messages") or ()
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return

    def _call(self, method: str, **values: Any) -> Json:
        try:
            answer = getattr(self.client, method)(**values)
        except SlackApiError as error:
            code = error.response.status_code
            what = str(error.response.get("error") or code)
            what = f"answered {code}" if 300 <= code < 400 else what
            where = method.replace("_", ".")
            if what in _REFUSED:
                raise Refused(what, where, todo="see coord-slack(8)") from None
            kind = TryAgain if code == 429 or code >= 500 or what == "ratelimited" else BadData
            raise kind(what, where) from None
        except Exception as error:  # of urllib, ssl, json: it was not reached, or it answers badly
            raise TryAgain(str(error)[:200] or "no answer", method.replace("_", ".")) from None
        return dict(answer.data)
