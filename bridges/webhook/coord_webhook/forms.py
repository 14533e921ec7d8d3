"""What the forms of well-known senders become without an `[[emit]]` table. Pure, total.

github        github.EVENT or github.EVENT.ACTION, the payload as the body
gitlab        gitlab.KIND or gitlab.KIND.ACTION, likewise
alertmanager  for each alert `alert.raised` or `alert.resolved` (spec/userland.md)
pagerduty     pagerduty.EVENT, such as pagerduty.incident.triggered
sentry        sentry.RESOURCE.ACTION
standard      hook.NAME; deliveries of coord-webhook have the event that was sent as the body
json          hook.NAME
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coord_envelope import BadData
from coord_envelope.fields import found, parsed
from coord_webhook.mapping import MOST, Received, typed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope.codec import Json

_SEVERITIES = {
    **dict.fromkeys(("critical", "fatal", "page", "emergency", "disaster", "p1"), "critical"),
    **dict.fromkeys(("high", "error", "major", "p2"), "high"),
    **dict.fromkeys(("low", "info", "information", "informational", "notice", "none"), "low"),
}
"""Words that others have for severities; any other is medium."""
_TITLES = (".annotations.summary", ".annotations.message", ".labels.alertname")


def drafts(form: str, name: str, received: Received) -> Iterator[Json]:
    """The drafts of a delivery to the hook of that name. Raises BadData."""
    make = _FORMS.get(form)
    if make:
        yield from make(received)
    else:
        payload = received.payload
        body = payload if isinstance(payload, dict) else {"value": payload}
        yield {"type": typed(f"hook.{name}"), "body": body}


def _github(received: Received) -> Iterator[Json]:
    event = received.headers.get("x-github-event", "")
    if not event:
        raise BadData("the header X-GitHub-Event is missing")
    yield _whole(received, "github", event, _at(received.payload, ".action"))


def _gitlab(received: Received) -> Iterator[Json]:
    payload = received.payload
    kind = _at(payload, ".object_kind") or _at(payload, ".event_name") or _at(payload, ".name")
    if not kind:
        raise BadData("object_kind is missing")
    yield _whole(received, "gitlab", kind, _at(payload, ".object_attributes.action"))


def _pagerduty(received: Received) -> Iterator[Json]:
    kind = _at(received.payload, ".event.event_type")
    if not kind:
        raise BadData("event.event_type is missing")
    yield _whole(received, "pagerduty", kind)


def _sentry(received: Received) -> Iterator[Json]:
    resource = received.headers.get("sentry-hook-resource", "")
    if not resource:
        raise BadData("the header Sentry-Hook-Resource is missing")
    yield _whole(received, "sentry", resource, _at(received.payload, ".action"))


def _alertmanager(received: Received) -> Iterator[Json]:
    alerts = received.payload.get("alerts")
    if not isinstance(alerts, list):
        raise BadData("alerts is not a list")
    if len(alerts) > MOST:
        raise BadData(f"more than {MOST} alerts")
    for alert in alerts:
        if not isinstance(alert, dict):
            raise BadData("an alert is not an object")
        fingerprint = _at(alert, ".fingerprint") or _at(alert, ".labels.alertname")
        if not fingerprint:
            raise BadData("an alert has neither a fingerprint nor a name")
        status = _at(alert, ".status") or "firing"
        began = _at(alert, ".startsAt")
        yield {
            "type": "alert.resolved" if status == "resolved" else "alert.raised",
            "body": _alert(alert, received.payload, _cut(fingerprint), status),
            "idempotency_key": f"{fingerprint} {began} {status}",
        }


def _alert(alert: Json, whole: Json, fingerprint: str, status: str) -> Json:
    title = next(filter(None, (_at(alert, path) for path in _TITLES)), fingerprint)
    if status == "resolved":
        return {"fingerprint": fingerprint, "why": _cut(f"resolved: {title}", 500)}
    labels = alert.get("labels")
    pairs = labels.items() if isinstance(labels, dict) else ()
    named = {name: value for name, value in pairs if isinstance(value, str)}
    lines = [_at(alert, ".annotations.description"), _at(alert, ".generatorURL")]
    lines += [f"{name}: {value}" for name, value in sorted(named.items())]
    group = _at(alert, ".labels.alertname") or _at(whole, ".groupKey")
    body = {
        "fingerprint": fingerprint,
        "group": _cut(group),
        "severity": _SEVERITIES.get(_at(alert, ".labels.severity").lower(), "medium"),
        "subject": _cut(" ".join(title.split())),
        "text": "\n".join(filter(None, lines)),
        "labels": named,
    }
    return {name: value for name, value in body.items() if value}


def _whole(received: Received, *words: str) -> Json:
    return {"type": typed(".".join(filter(None, words))), "body": received.payload}


def _at(value: Any, path: str) -> str:
    """The text at a path; empty if there is none."""
    text = next(found(value, parsed(path)), "")
    return text if isinstance(text, str) else ""


def _cut(text: str, most: int = 200) -> str:
    """At most so many bytes of a text."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


_FORMS: dict[str, Callable[[Received], Iterator[Json]]] = {
    "github": _github,
    "gitlab": _gitlab,
    "pagerduty": _pagerduty,
    "sentry": _sentry,
    "alertmanager": _alertmanager,
}
FORMS = (*_FORMS, "standard", "json")
