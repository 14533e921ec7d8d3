"""Two protocols without requests and answers: `stream-json` and `rpc`. Pure.

stream-json   a message of the user on each line; a `result` ends a turn
rpc           commands `prompt` and `steer`; `agent_start` and `agent_settled` are a turn
"""

from __future__ import annotations

from coord_agents.drive.protocol import Protocol, Question, table, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_agents.drive.protocol import Opening
    from coord_envelope.codec import Json


class StreamJson(Protocol):
    """A program that reads messages of its user, as its own output has them."""

    def begin(self) -> None:
        # It says nothing before the first line: whether it came up is seen then.
        self.is_ready = not self.opening.prompt
        if self.opening.prompt:
            self.say(self.opening.prompt)

    def received(self, message: Json) -> None:
        self.is_ready = True
        self.provider = self.provider or text_of(message.get("session_id"))
        kind = message.get("type")
        if kind == "result":
            self.is_busy = False
        elif kind == "assistant" or (kind == "system" and message.get("subtype") == "init"):
            self.is_busy = True

    def say(self, text: str) -> bool:
        if self.is_busy and not self.opening.takes_more:
            return False
        content = [{"type": "text", "text": text}]
        self.out.append({"type": "user", "message": {"role": "user", "content": content}})
        self.is_busy = True
        return True


class Rpc(Protocol):
    """A program that takes commands by name."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._prompts = 0
        self._dialogs: dict[str, list[Json]] = {}
        """Key of a question → the answer for each of its options."""

    def begin(self) -> None:
        self.out.append({"id": "state", "type": "get_state"})

    def received(self, message: Json) -> None:
        kind = message.get("type")
        if kind == "response":
            self._response(message)
        elif kind == "agent_start":
            self.is_busy = True
        elif kind == "agent_settled":
            self.is_busy = False
        elif kind == "extension_ui_request":
            self._dialog(message)

    def _response(self, message: Json) -> None:
        data, is_good = table(message.get("data")), message.get("success") is True
        if message.get("id") == "state" and not self.is_ready:
            self.failure = "" if is_good else text_of(message.get("error")) or "get_state failed"
            self.is_ready = is_good
            self.provider = text_of(data.get("sessionId"))
            if is_good and self.opening.prompt:
                self.say(self.opening.prompt)
        elif message.get("id") == f"prompt-{self._prompts}" and (
            not is_good or data.get("disposition") == "handled"
        ):
            self.is_busy = False  # nothing runs for it

    def say(self, text: str) -> bool:
        steers = self.opening.busy == "steers"
        if self.is_busy and not steers:
            return False
        self._prompts += 1
        how = {"streamingBehavior": "steer"} if steers else {}
        name = f"prompt-{self._prompts}"
        self.out.append({"id": name, "type": "prompt", "message": text, **how})
        self.is_busy = True
        return True

    def _dialog(self, message: Json) -> None:
        """An extension asks the user: yes or no, and one of several, a person can answer."""
        method, key, options = (message.get(name) for name in ("method", "id", "options"))
        if not isinstance(key, str):
            return
        answers: list[tuple[str, Json]] = []
        if method == "confirm":
            answers = [("yes", {"confirmed": True}), ("no", {"confirmed": False})]
        elif method == "select" and isinstance(options, list):
            answers = [(option, {"value": option}) for option in options if text_of(option)]
        if answers:
            self._dialogs[key] = [answer for _, answer in answers]
            title, detail = (text_of(message.get(name)) for name in ("title", "message"))
            self.asks.append(Question(key, title, detail, [label for label, _ in answers]))
        elif method in ("select", "input", "editor"):
            self.answered(key, None)

    def answered(self, key: str, choice: int | None) -> None:
        answers = self._dialogs.pop(key, [])
        answer: Json = {"cancelled": True} if choice is None else answers[choice]
        self.out.append({"type": "extension_ui_response", "id": key, **answer})
