"""How Slack and the way to it fail, as faults. Imports nothing of slack_sdk."""

from __future__ import annotations

from coord_envelope.errors import BadData, Fault, Refused, TryAgain

_REFUSED = (
    *("invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"),
    *("missing_scope", "not_in_channel", "channel_not_found", "restricted_action"),
)
_FOR_GOOD = (
    *("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text"),
    *("invalid_arguments", "invalid_metadata_format", "metadata_too_large", "message_not_found"),
    *("thread_not_found", "cannot_reply_to_message", "restricted_action_thread_locked"),
    *("cant_update_message", "edit_window_closed"),
)
_PASSING = ("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable")


class Unpostable(BadData):
    """Slack refuses this post, now and whenever it comes again."""


def refused(what: str, status: int, where: str) -> Fault:
    """The fault of an answer that has an error, or a status."""
    what = f"answered {status}" if 300 <= status < 400 else what
    if what in _REFUSED:
        return Refused(what, where, todo="see coord-slack(8)")
    if what in _FOR_GOOD:
        return Unpostable(what, where)
    kind = TryAgain if status == 429 or status >= 500 or what in _PASSING else BadData
    return kind(what, where)


def lost(error: Exception, where: str) -> TryAgain:
    """The fault of a connection that is not there, in plain words."""
    reason = getattr(error, "reason", error)
    what = getattr(reason, "strerror", None) or str(reason)
    return TryAgain(" ".join(str(what).split())[:200].lower() or "no answer", where)
