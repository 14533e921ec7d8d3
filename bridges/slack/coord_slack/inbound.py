"""What Slack sends, as drafts of `slack.received`. Pure; whatever is not allowed is None.

Only people of the file, only channels of the file. What bots write, edits and joins are nothing.
"""

from __future__ import annotations

from coord_slack import draft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_slack.settings import Settings

OURS = "coord_event"
"""The event type of the metadata of what the bridge posts."""
SUBTYPES = ("None", "file_share", "thread_broadcast")
LONGEST_TEXT = 30_000
"""Bytes: a message here has up to 32 KiB."""


def of_message(event: object, settings: Settings) -> Json | None:
    """A message, or a mention: of both that Slack sends the key is one."""
    if not isinstance(event, dict) or event.get("type") not in ("message", "app_mention"):
        return None
    channel, user, ts = (event.get(name) for name in ("channel", "user", "ts"))
    if str(event.get("subtype")) not in SUBTYPES or event.get("bot_id") or event.get("hidden"):
        return None
    if _get(event, "metadata", "event_type") == OURS:
        return None
    return _message(channel, user, ts, event, settings)


def of_history(message: Json, channel: str, settings: Settings) -> Json | None:
    """A message as a channel's history has it."""
    return of_message({**message, "channel": channel}, settings)


def _message(
    channel: object, user: object, ts: object, event: Json, settings: Settings
) -> Json | None:
    who, text = settings.people.get(str(user)), event.get("text")
    if str(channel) not in settings.channels or who is None or not _is_ts(ts):
        return None
    if not isinstance(text, str) or not text.strip():
        return None
    thread = event.get("thread_ts")
    root = thread if _is_ts(thread) else ts
    fields = {"channel": channel, "ts": ts, "root": root, "user": user, "who": who}
    cut = text.encode("utf-8", "replace")[:LONGEST_TEXT].decode("utf-8", "ignore")
    return draft.message({**fields, "text": cut})


def of_action(payload: object, settings: Settings) -> Json | None:
    """A button that was pressed."""
    if not isinstance(payload, dict) or payload.get("type") != "block_actions":
        return None
    user = _get(payload, "user", "id")
    container = payload.get("container") or {}
    channel = _get(payload, "channel", "id") or _get(payload, "container", "channel_id")
    ts = container.get("message_ts") if isinstance(container, dict) else None
    ts = ts or _get(payload, "message", "ts")
    who, actions = settings.people.get(str(user)), payload.get("actions")
    if who is None or str(channel) not in settings.channels or not _is_ts(ts):
        return None
    for action in actions if isinstance(actions, list) else ():
        value = action.get("value") if isinstance(action, dict) else None
        question, blank, option = value.partition(" ") if isinstance(value, str) else ("", "", "")
        if blank and str(action.get("action_id", "")).startswith("answer."):
            pressed = str(action.get("action_ts") or payload.get("trigger_id") or ts)
            fields = {"channel": channel, "ts": ts, "root": ts, "user": user, "who": who}
            more = {"question": question, "option": option, "pressed": pressed[:64]}
            return draft.answer({**fields, **more})
    return None


def _get(payload: Json, *names: str) -> object:
    value: object = payload
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _is_ts(value: object) -> bool:
    seconds, dot, micros = value.partition(".") if isinstance(value, str) else ("", "", "")
    return bool(dot) and seconds.isdecimal() and micros.isdecimal() and len(seconds + micros) < 24
