"""The Agent Client Protocol: a program, and the editors that look at its conversation. Pure.

To the program this is the client; to each editor it is the agent. What they say to each other is
passed on as it is, with other ids: so what this does not know, an extension or a later version of
the protocol, goes through.

1. The conversation is begun before any editor is there. The first `session/new` of an editor, and
   `session/load` with its id, show that one; another `session/new` begins one more.
2. A prompt that would stop a turn, by what the record of the program says of it (`busy`), waits for
   its end. It may come from an editor or from `say`.
3. A permission is asked of all editors that show the conversation, and of a person; the first
   answer counts. When a turn is cancelled, its permissions are.
4. Where a program takes a second prompt into its turn, it may never answer it: the end of the turn
   answers all of them.
"""

from __future__ import annotations

from collections import deque

from coord_agents.drive.protocol import Question, table, text_of
from coord_agents.drive.requests import CLIENT, UNKNOWN_METHOD, Requests
from coord_envelope import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from coord_agents.drive.protocol import Opening
    from coord_envelope.codec import Json

VERSION = 1
KEPT = 5_000
"""Updates that an editor is shown which loads the conversation."""
_NOTHING = {"readTextFile": False, "writeTextFile": False}
CAPABILITIES = {"fs": _NOTHING, "terminal": False}
"""The program reads and writes files itself: it works also while no editor is there."""


class Editor:
    """One editor: who it is, and what it is to be sent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.out: list[Json] = []
        self.shows = False
        """Does it show the conversation?"""

    def reply(self, request: object, result: object) -> None:
        self.out.append({"jsonrpc": "2.0", "id": request, "result": result})

    def refuse(self, request: object, error: object) -> None:
        self.out.append({"jsonrpc": "2.0", "id": request, "error": error})


class _Prompt:
    """A prompt that is not answered yet; of no editor if it is ours."""

    def __init__(self, session: str, params: Json, editor: Editor | None, request: object) -> None:
        self.session, self.params, self.editor, self.request = session, params, editor, request

    def reply(self, result: object) -> None:
        if self.editor:
            self.editor.reply(self.request, result)


class _Permission:
    """A permission that the program waits for."""

    def __init__(self, request: object, session: str, options: list[str]) -> None:
        self.request, self.session, self.options = request, session, options


class Acp(Requests):
    """A program, its conversation, and the editors."""

    header: ClassVar[Json] = {"jsonrpc": "2.0"}

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self.editors: list[Editor] = []
        self._hello: Json = {}
        self._opened: Json = {}
        self._updates: deque[Json] = deque(maxlen=KEPT)
        self._early: list[tuple[Editor, Json]] = []
        """What editors said before the conversation was there."""
        self._owners: dict[str, Editor | None] = {}
        """Conversation that an editor began → the editor; None if it is gone."""
        self._running: list[_Prompt] = []
        self._held: list[_Prompt] = []
        self._permissions: dict[str, _Permission] = {}

    def begin(self) -> None:
        params = {
            "protocolVersion": VERSION,
            "clientCapabilities": CAPABILITIES,
            "clientInfo": CLIENT,
        }
        self.request("initialize", params, "initialize")

    def say(self, text: str) -> bool:
        prompt = [{"type": "text", "text": text}]
        made = _Prompt(self.provider, {"sessionId": self.provider, "prompt": prompt}, None, None)
        if self._would_stop(made):
            return False
        self._send(made)
        return True

    # ---- the program

    def result(self, purpose: str, about: Any, result: object) -> None:
        if purpose == "initialize":
            self._hello = table(result)
            self._open()
        elif purpose in ("session/new", "session/load", "session/resume"):
            self._opened = table(result)
            self.provider = self.opening.resume or text_of(self._opened.get("sessionId"))
            self.is_ready = bool(self.provider)
            self.failure = "" if self.is_ready else f"{purpose}: no session"
            if self.opening.prompt and self.is_ready:
                self.say(self.opening.prompt)
            for editor, message in self._early:
                self.from_editor(editor, message)
            self._early = []
        elif purpose == "prompt":
            self._over(about, result)
        elif purpose == "passed":
            editor, request, method = about
            session = table(result).get("sessionId")
            if method == "session/new" and isinstance(session, str):
                self._owners[session] = editor
            editor.reply(request, result)

    def refused(self, purpose: str, about: Any, error: Json) -> None:
        super().refused(purpose, about, error)
        if purpose == "prompt":
            if about.editor:
                about.editor.refuse(about.request, error)
                about.editor = None
            self._over(about, {"stopReason": "cancelled"})
        elif purpose == "passed":
            editor, request, _ = about
            editor.refuse(request, error)

    def _open(self) -> None:
        if self._hello.get("protocolVersion") != VERSION:
            self.failure = f"speaks another version of the protocol than {VERSION}"
            return
        where: Json = {"cwd": self.opening.cwd, "mcpServers": []}
        can = table(self._hello.get("agentCapabilities"))
        if not self.opening.resume:
            self.request("session/new", where, "session/new")
            return
        self.provider = self.opening.resume  # its updates come before the answer
        if can.get("loadSession") is True:
            params = {"sessionId": self.opening.resume, **where}
            self.request("session/load", params, "session/load")
        elif "resume" in table(can.get("sessionCapabilities")):
            params = {"sessionId": self.opening.resume, **where}
            self.request("session/resume", params, "session/resume")
        else:
            self.failure = "cannot load a conversation"

    def notified(self, method: str, message: Json) -> None:
        session = text_of(table(message.get("params")).get("sessionId"))
        self._show(session, message)

    def asked(self, method: str, message: Json) -> bool:
        if method != "session/request_permission":
            return False
        params, key = table(message.get("params")), f"permission-{len(self._permissions) + 1}"
        options = params.get("options")
        choices = [table(each) for each in options] if isinstance(options, list) else []
        known = [text_of(choice.get("optionId")) for choice in choices]
        session = text_of(params.get("sessionId"))
        self._permissions[key] = _Permission(message["id"], session, known)
        if not choices:
            self.answered(key, None)
            return True
        for editor in self._shown_by(session):
            editor.out.append({**message, "id": key})
        call = table(params.get("toolCall"))
        what = text_of(call.get("title")) or text_of(call.get("kind")) or "use a tool"
        raw = call.get("rawInput")
        detail = codec.dumps(raw).decode("utf-8", "replace") if raw else ""
        names = [text_of(choice.get("name")) for choice in choices]
        self.asks.append(Question(key, f"may it: {what}", detail, names))
        return True

    def answered(self, key: str, choice: int | None) -> None:
        options = self._permissions[key].options
        outcome: Json = {"outcome": "cancelled"}
        if choice is not None:
            outcome = {"outcome": "selected", "optionId": options[choice]}
        self._grant(key, {"outcome": outcome})

    def _grant(self, key: str, result: object) -> None:
        permission = self._permissions[key]
        self.reply(permission.request, result)
        permission.request = None  # it has its answer

    # ---- turns

    def _would_stop(self, prompt: _Prompt) -> bool:
        same = any(running.session == prompt.session for running in self._running)
        return same and not self.opening.takes_more

    def _send(self, prompt: _Prompt) -> None:
        for block in _blocks(prompt.params.get("prompt")):
            update = {"sessionUpdate": "user_message_chunk", "content": block}
            params = {"sessionId": prompt.session, "update": update}
            said = {"jsonrpc": "2.0", "method": "session/update", "params": params}
            self._show(prompt.session, said, but=prompt.editor)
        self._running.append(prompt)
        self.is_busy = True
        self.request("session/prompt", prompt.params, "prompt", prompt)

    def _over(self, prompt: _Prompt, result: object) -> None:
        """A prompt was answered: the turn is over, and what was held may be sent."""
        if prompt not in self._running:
            return
        together = self.opening.busy == "steers"
        same = [each for each in self._running if together and each.session == prompt.session]
        for each in [prompt, *(other for other in same if other is not prompt)]:
            self._running.remove(each)
            each.reply(result)
        held, self._held = self._held, []
        for waiting in held:
            if self._would_stop(waiting):
                self._held.append(waiting)
            else:
                self._send(waiting)
        self.is_busy = bool(self._running)

    # ---- editors

    def enter(self, editor: Editor) -> None:
        """An editor is there."""
        self.editors.append(editor)

    def leave(self, editor: Editor) -> None:
        """An editor is gone; what runs goes on."""
        self.editors.remove(editor)
        self._held = [prompt for prompt in self._held if prompt.editor is not editor]
        self._early = [(other, said) for other, said in self._early if other is not editor]
        for prompt in self._running:
            prompt.editor = None if prompt.editor is editor else prompt.editor
        for name in self._owners:
            self._owners[name] = None if self._owners[name] is editor else self._owners[name]

    def from_editor(self, editor: Editor, message: Json) -> None:
        """Take what an editor said."""
        method, request = message.get("method"), message.get("id")
        if not isinstance(method, str):
            self._answer(editor, message)
        elif not self.is_ready:
            self._early.append((editor, message))
        elif request is None:
            self._notice(method, table(message.get("params")))
        else:
            self._request(editor, method, message)

    def _request(self, editor: Editor, method: str, message: Json) -> None:
        params, request = table(message.get("params")), message["id"]
        session = text_of(params.get("sessionId"))
        if method == "initialize":
            can = {**table(self._hello.get("agentCapabilities")), "loadSession": True}
            editor.reply(request, {**self._hello, "agentCapabilities": can})
        elif method == "session/new" and not editor.shows:
            editor.shows = True
            editor.reply(request, {**self._opened, "sessionId": self.provider})
        elif method in ("session/load", "session/resume") and session == self.provider:
            editor.shows = True
            if method == "session/load":
                editor.out += self._updates
            left = {name: value for name, value in self._opened.items() if name != "sessionId"}
            editor.reply(request, left)
        elif method in ("session/close", "session/delete") and session == self.provider:
            editor.refuse(request, UNKNOWN_METHOD)  # it ends with its job
        elif method == "session/prompt":
            prompt = _Prompt(session, params, editor, request)
            if self._would_stop(prompt):
                self._held.append(prompt)
            else:
                self._send(prompt)
        else:
            self.request(method, message.get("params"), "passed", (editor, request, method))

    def _notice(self, method: str, params: Json) -> None:
        if method == "session/cancel":
            session = params.get("sessionId")
            for prompt in (each for each in self._held if each.session == session):
                prompt.reply({"stopReason": "cancelled"})
            self._held = [prompt for prompt in self._held if prompt.session != session]
            for key, permission in self._permissions.items():
                if permission.session == session and permission.request is not None:
                    self.answered(key, None)
                    self.settled.append((key, None, ""))
        if not method.startswith("$/"):  # about the ids of one connection
            self.notify(method, params)

    def _answer(self, editor: Editor, message: Json) -> None:
        """An editor answers a permission, unless somebody has."""
        key = message.get("id")
        permission = self._permissions.get(key) if isinstance(key, str) else None
        if permission is None or permission.request is None or "result" not in message:
            return
        outcome = table(table(message["result"]).get("outcome"))
        taken = outcome.get("optionId")
        choice = permission.options.index(taken) if taken in permission.options else None
        self._grant(str(key), message["result"])
        self.settled.append((str(key), choice, editor.name))

    def _shown_by(self, session: str) -> list[Editor]:
        if session in self._owners:
            owner = self._owners[session]
            return [owner] if owner else []
        return [editor for editor in self.editors if editor.shows]

    def _show(self, session: str, message: Json, but: Editor | None = None) -> None:
        if session == self.provider and message.get("method") == "session/update":
            self._updates.append(message)
        for editor in self._shown_by(session):
            if editor is not but:
                editor.out.append(message)


def _blocks(prompt: object) -> list[Json]:
    blocks = prompt if isinstance(prompt, list) else []
    return [block for block in blocks if isinstance(block, dict)]
