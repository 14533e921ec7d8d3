"""Text between Slack and here. Pure.

What comes from here is plain: a `<!channel>` that somebody wrote into a message pings nobody.
"""

from __future__ import annotations

import re

from coord_kernel.cli.escape import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coord_envelope.codec import Json

LONGEST, REPLY, TITLE = 2_900, 2_000, 200
"""Characters of a post and of a reply, as they are sent; bytes of a title. Slack's own limit for a
section is 3,000, in which `&amp;` is five."""
COMMANDS = ("new", "claim", "status", "ask")
_MARKUP = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


def plain(text: str, people: Mapping[str, str]) -> str:
    """What somebody wrote in Slack, without its markup."""

    def shown(match: re.Match[str]) -> str:
        what, label = match[1], match[2]
        if what.startswith("@"):
            known = people.get(what[1:], "").partition(":")[2]
            return f"@{known or label or what[1:]}"
        if what.startswith(("#", "!")):
            return f"{what[0]}{label or what[1:]}"
        return f"{label} ({what})" if label and label != what else what

    text = _MARKUP.sub(shown, text)
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return text.strip()


def escaped(text: str, most: int = LONGEST) -> str:
    """Text of here, so that Slack shows it as it is: one line or more, no control characters."""
    lines = "\n".join(visible(line.rstrip("\r")) for line in text[: most + 1].split("\n"))
    return cut(lines.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"), most)


def cut(text: str, most: int) -> str:
    """Escaped text of at most so many characters, without a part of an entity at its end."""
    if len(text) <= most:
        return text
    begin = text[: most - 1]
    if begin.rfind("&") > begin.rfind(";"):
        begin = begin[: begin.rfind("&")]
    return f"{begin}…"


def command(text: str, bot: str) -> tuple[str, str] | None:
    """(verb, rest) of a message that begins with a mention of the bot and a verb.

    ("", rest) if it has the mention only, None without that.
    """
    mention = f"<@{bot}>"
    if not bot or not text.lstrip().startswith(mention):
        return None
    rest = text.lstrip()[len(mention) :].strip(" :,\t\r\n")
    if not rest:
        return "", ""
    verb, *more = rest.split(None, 1)
    return (verb.lower(), "".join(more).strip()) if verb.lower() in COMMANDS else ("", rest)


def title(text: str) -> str:
    """The first line as a title or a subject."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line.encode("utf-8", "replace")[:TITLE].decode("utf-8", "ignore")


def name(address: str) -> str:
    """How an agent or a person is called in a post."""
    return address.partition(":")[2] or address


def message(event: Json) -> str:
    """A message as a post."""
    body = event["body"]
    subject, text = body.get("subject"), body.get("text")
    said = text if isinstance(text, str) and text.strip() else subject
    if isinstance(subject, str) and isinstance(text, str) and not text.startswith(subject):
        said = f"{subject}\n{text}" if not body.get("re") else text
    return f"{name(event['actor']['agent_id'])}: {said if isinstance(said, str) else event['type']}"


def board(item: Json) -> str:
    """The state of an item as one line, and for a question its answer."""
    title = f"{item['id']} {item['title']}"
    if item.get("answer"):
        return f"{title}\n{name(str(item.get('answered_by', '')))} answered: {item['answer']}"
    if item["kind"] == "question":
        return title if item["status"] not in ("done", "cancelled") else f"{title}\nwithdrawn"
    owner = item.get("owner")
    return f"{title}\n{item['status']}{f', {name(owner)}' if owner else ''}"


def buttons(item: str, options: Sequence[str]) -> Json:
    """The buttons of a question."""
    elements = [
        {
            "type": "button",
            "action_id": f"answer.{n}",
            "text": {"type": "plain_text", "text": option[:75]},
            "value": f"{item} {option}",
        }
        for n, option in enumerate(options[:20])
    ]
    return {"type": "actions", "elements": elements}


def section(text: str) -> Json:
    """Text as a block that is not interpreted."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
