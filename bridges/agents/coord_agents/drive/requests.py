"""Requests and answers as JSON-RPC has them, and the protocol `app-server`. Pure."""

from __future__ import annotations

from coord_agents.drive.protocol import Protocol, Question, table, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from coord_agents.drive.protocol import Opening
    from coord_envelope.codec import Json

UNKNOWN_METHOD: Json = {"code": -32601, "message": "Method not found"}
CLIENT = {"name": "coord", "title": "coord", "version": "1"}


class Requests(Protocol):
    """A protocol whose messages are requests, notifications, and answers to requests."""

    header: ClassVar[Json] = {}
    """The fields that every message has."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._number = 0
        self._waiting: dict[int, tuple[str, Any]] = {}
        """Id of a request of ours → what it was for."""

    def request(self, method: str, params: object, purpose: str, about: Any = None) -> None:
        """Send a request. Its answer goes to `result` or `refused` with the purpose."""
        self._number += 1
        self._waiting[self._number] = purpose, about
        self.out.append({**self.header, "id": self._number, "method": method, "params": params})

    def notify(self, method: str, params: object = None) -> None:
        """Send a notification."""
        said = {} if params is None else {"params": params}
        self.out.append({**self.header, "method": method, **said})

    def reply(self, request: object, result: object) -> None:
        """Answer a request of the program's."""
        self.out.append({**self.header, "id": request, "result": result})

    def received(self, message: Json) -> None:
        method, number = message.get("method"), message.get("id")
        if isinstance(method, str):
            if number is None:
                self.notified(method, message)
            elif not self.asked(method, message):
                self.out.append({**self.header, "id": number, "error": UNKNOWN_METHOD})
        elif type(number) is int and number in self._waiting:
            purpose, about = self._waiting.pop(number)
            if "error" in message:
                self.refused(purpose, about, table(message["error"]))
            else:
                self.result(purpose, about, message.get("result"))

    def notified(self, method: str, message: Json) -> None:
        """Take a notification."""

    def asked(self, method: str, message: Json) -> bool:
        """Take a request; False if there is no such method."""
        return False

    def result(self, purpose: str, about: Any, result: object) -> None:
        """Take the answer to a request of ours."""

    def refused(self, purpose: str, about: Any, error: Json) -> None:
        """Take the error that answers a request of ours."""
        if not self.is_ready:
            self.failure = f"{purpose}: {text_of(error.get('message')) or 'refused'}"


APPROVALS = ("item/commandExecution/requestApproval", "item/fileChange/requestApproval")
DECISIONS = ("accept", "acceptForSession", "decline", "cancel")


class AppServer(Requests):
    """Threads and turns: `turn/start`, and to one at work `turn/steer`."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._turn = ""
        self._approvals: dict[str, object] = {}
        """Key of a question → the id of the request."""

    def begin(self) -> None:
        self.request("initialize", {"clientInfo": CLIENT}, "initialize")

    def result(self, purpose: str, about: Any, result: object) -> None:
        if purpose == "initialize":
            self.notify("initialized")
            where = {"cwd": self.opening.cwd}
            if self.opening.resume:
                params = {"threadId": self.opening.resume, **where}
                self.request("thread/resume", params, "thread/resume")
            else:
                self.request("thread/start", where, "thread/start")
        elif purpose in ("thread/start", "thread/resume"):
            self.provider = text_of(table(table(result).get("thread")).get("id"))
            self.is_ready = bool(self.provider)
            self.failure = "" if self.is_ready else f"{purpose}: no thread"
            if self.is_ready and self.opening.prompt:
                self.say(self.opening.prompt)
        elif purpose == "turn/start":
            turn = text_of(table(table(result).get("turn")).get("id"))
            self._turn = turn if self.is_busy else ""

    def refused(self, purpose: str, about: Any, error: Json) -> None:
        super().refused(purpose, about, error)
        if purpose == "turn/start":
            self.is_busy = False
        elif purpose == "turn/steer":  # the turn was over before
            self._start(about)

    def notified(self, method: str, message: Json) -> None:
        params = table(message.get("params"))
        if params.get("threadId") != self.provider:  # of a subagent
            return
        if method == "turn/started":
            self.is_busy, self._turn = True, text_of(table(params.get("turn")).get("id"))
        elif method == "turn/completed":
            self.is_busy, self._turn = False, ""

    def asked(self, method: str, message: Json) -> bool:
        if method not in APPROVALS:
            return False
        params, key = table(message.get("params")), f"approval-{len(self._approvals) + 1}"
        self._approvals[key] = message["id"]
        what = text_of(params.get("command")) or "change files"
        detail = ", ".join(filter(None, (text_of(params.get(n)) for n in ("reason", "cwd"))))
        names = ("accept", "accept for this session", "decline", "stop the turn")
        self.asks.append(Question(key, f"may it run: {what}", detail, names))
        return True

    def answered(self, key: str, choice: int | None) -> None:
        decision = "decline" if choice is None else DECISIONS[choice]
        self.reply(self._approvals[key], {"decision": decision})

    def say(self, text: str) -> bool:
        if not self.is_busy:
            self._start(text)
            return True
        if self.opening.busy != "steers" or not self._turn:
            return False
        params = {"threadId": self.provider, "expectedTurnId": self._turn, **_input(text)}
        self.request("turn/steer", params, "turn/steer", text)
        return True

    def _start(self, text: str) -> None:
        self.request("turn/start", {"threadId": self.provider, **_input(text)}, "turn/start")
        self.is_busy = True


def _input(text: str) -> Json:
    return {"input": [{"type": "text", "text": text}]}
