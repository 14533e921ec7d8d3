"""Messages with a severity: what they raise, and what an ack of them acknowledges. Pure.

1. A message with a severity raises an alert, which is known by its fingerprint: a text of the
   sender's, or else the subject and the work item.
2. With a fingerprint of the sender's it is mail to those only who have no message of the same
   episode with this severity. If that is nobody it only counts (`alert.raised`).
3. Without a recipient it only counts, too: the escalation notifies people.
"""

from __future__ import annotations

from coord_envelope import BadData
from coord_kernel.rules import escalation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.rules.escalation import Episode


def named(body: Json, work: object) -> Json:
    """The fingerprint and the group of a message's body. Raises BadData."""
    if "severity" not in body:
        raise BadData("fingerprint without severity", todo="give --severity low … critical")
    if "fingerprint" in body:
        group = body["fingerprint"].rpartition("/")[0]
        return {"group": group} if group else {}
    return {"fingerprint": usual(body, work)}


def usual(body: Json, work: object) -> str:
    """The fingerprint of a message whose sender gave none."""
    said = str(body.get("subject") or body.get("text") or "message")
    name = f"{said} {work}" if isinstance(work, str) else said
    return name.encode("utf-8", "replace")[: escalation.LONGEST].decode("utf-8", "ignore")


def counted(draft: Json, episode: Episode | None) -> Json:
    """The draft without the recipients who have such a message; if all have, `alert.raised`."""
    body, refs = draft["body"], draft.get("refs", {})
    fingerprint = body.get("fingerprint")
    if episode is None or "to" not in draft or fingerprint == usual(body, refs.get("work_id")):
        return draft
    loud = escalation.rank(body["severity"])
    sent = episode["sent"]
    left = [to for to in draft["to"] if to not in sent or escalation.rank(sent[to]) < loud]
    return {**draft, "to": left} if left else raised(draft, episode["id"])


def raised(draft: Json, thread: str) -> Json:
    """The draft of a message as one of an `alert.raised`."""
    kept = {name: value for name, value in draft.items() if name != "to"}
    return {**kept, "type": "alert.raised", "refs": {**draft["refs"], "thread_id": thread}}


def acknowledges(message: Event) -> dict[str, str]:
    """The fields of an ack that acknowledge the alert of this message; none without one."""
    body = message["body"]
    names = ("fingerprint", "episode") if message["type"] == "alert.notified" else ("fingerprint",)
    if body.get("severity") not in escalation.SEVERITIES:
        return {}
    return {name: body[name] for name in names if isinstance(body.get(name), str)}
