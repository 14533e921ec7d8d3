"""A hook: the file `NAME.toml` in the directory of hooks, and what its deliveries become.

form = "alertmanager"     github gitlab alertmanager pagerduty sentry standard json
secret = "$ALERTS"        an environment variable; or the secret, in a file of mode 0600
signature = "X-Sign"      of form json: a header with the signature of the body, in hex
[[emit]]                  what becomes of a delivery: see `mapping`; else as `forms` has it
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from coord_envelope import BadData, codec, ids
from coord_envelope.bodies import check_body
from coord_envelope.event import KERNEL
from coord_kernel.cli import complaints
from coord_kernel.store import private, toml
from coord_webhook import forms
from coord_webhook.mapping import Emit, Received
from coord_webhook.verify import Way

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from coord_envelope.codec import Json

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,53}")
KEYS = ("form", "secret", "signature", "emit")
LARGEST = 1 << 20
"""Bytes of a delivery."""
_STATE = tuple[int, ...]


class Hook:
    """What a file says."""

    def __init__(self, path: str) -> None:
        """Raises BadData, Refused, Usage, DiskFault; FileNotFoundError if there is no file."""
        self.name = os.path.basename(path).removesuffix(".toml")
        table = toml.load(path)
        if table is None:
            raise FileNotFoundError(path)
        try:
            self._take(table, path)
        except ValueError as reason:
            raise BadData(str(reason), where=path, todo="correct the file") from None

    def _take(self, table: Json, path: str) -> None:
        for name in table:
            if name not in KEYS:
                raise ValueError(f"unknown key {name}; valid keys: {', '.join(KEYS)}")
        self.form = table.get("form", "json")
        if self.form not in forms.FORMS:
            raise ValueError(f"not a valid form: {self.form!r}; use {', '.join(forms.FORMS)}")
        secret, signature = table.get("secret"), table.get("signature", "")
        if not isinstance(secret, str) or not secret:
            raise ValueError('secret is missing, as secret = "$VARIABLE"')
        if not isinstance(signature, str) or (signature and self.form != "json"):
            raise ValueError("signature is the name of a header, for the form json")
        self.way = Way(self.form, private.secret(secret, path), signature)
        emits = table.get("emit", [])
        if not isinstance(emits, list) or not all(isinstance(each, dict) for each in emits):
            raise ValueError("emit is not a list of tables: [[emit]]")
        self._emits = [Emit(each) for each in emits]

    def drafts(self, body: bytes, headers: Mapping[str, str], delivery: str = "") -> list[Json]:
        """The drafts of a delivery. Raises BadData."""
        received = Received(_payload(body), headers)
        made: Iterable[Json] = (draft for emit in self._emits for draft in emit.drafts(received))
        if not self._emits:
            made = forms.drafts(self.form, self.name, received)
        return [self._finished(draft, at, delivery) for at, draft in enumerate(made)]

    def _finished(self, draft: Json, at: int, delivery: str) -> Json:
        """The draft with its key: its own, or that of the delivery."""
        kind = draft["type"]
        if kind.partition(".")[0] in KERNEL:
            raise BadData(f"{kind} is reserved for the kernel", todo="use another type")
        check_body(kind, draft["body"])
        named = f"{delivery} {at}" if delivery and at else delivery
        key = draft.get("idempotency_key") or named
        return draft | ({"idempotency_key": ids.key(f"{self.name}:{key}")} if key else {})


def _payload(body: bytes) -> Json:
    """The object that was sent, as JSON or in GitHub's form. Raises BadData."""
    data = body
    if body.startswith(b"payload="):
        data = dict(parse_qsl(body.decode("utf-8", "replace"))).get("payload", "").encode()
    try:
        value: Any = codec.loads(data)
    except (ValueError, RecursionError) as reason:
        what = str(reason)
        if "set_int_max_str_digits" in what:
            what = "a number has too many digits"
        raise BadData(f"not valid JSON: {what[:100]}") from None
    if not isinstance(value, dict):
        raise BadData("not a JSON object")
    return value


class Hooks:
    """The hooks of a directory; a file that has changed is read again."""

    def __init__(self, directory: str) -> None:
        """Raises what `Hook` does, and OSError."""
        self._directory = directory
        self._known: dict[str, tuple[_STATE, Hook]] = {}
        for entry in sorted(os.listdir(directory)):
            name = entry.removesuffix(".toml")
            if entry.endswith(".toml") and NAME.fullmatch(name):
                self._read(name)
        if not self._known:
            raise BadData("no hook", where=directory, todo="make NAME.toml; see coord-webhook(8)")

    @property
    def names(self) -> list[str]:
        """Those that were read."""
        return sorted(self._known)

    def get(self, name: str) -> Hook | None:
        """The hook of that name. While its file is not valid, as it was before."""
        if not NAME.fullmatch(name):
            return None
        try:
            return self._read(name)
        except FileNotFoundError:
            self._known.pop(name, None)
            return None
        except Exception as error:
            known = self._known.get(name)
            if known:
                complaints.warn(f"{error}; the file before the change is used")
                self._known[name] = (self._state(name), known[1])
            return known and known[1]

    def _read(self, name: str) -> Hook:
        state = self._state(name)
        known = self._known.get(name)
        if known and known[0] == state:
            return known[1]
        hook = Hook(os.path.join(self._directory, f"{name}.toml"))
        self._known[name] = state, hook
        return hook

    def _state(self, name: str) -> _STATE:
        stat = os.stat(os.path.join(self._directory, f"{name}.toml"))
        return stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_mode
