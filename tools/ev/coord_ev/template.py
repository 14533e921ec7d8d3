"""Templates of a consumer: from an event to the words of a command. Jinja2, sandboxed; nothing goes through a shell.

A template is the work of whoever wrote the consumer's file, an event that of anyone. So what an event says is
inserted and never read as a template, may not become an option of the command or its name, and is bounded.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from coord_envelope import BadData, No, codec
from coord_kernel.store import blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.codec import Json
    from coord_kernel import Store

WORDS = 40 << 10
"""Bytes of a command's words together: they stand in an event's line."""
LONGEST = 1 << 20
"""Bytes of a file, and of what a template becomes."""


class Templates(ImmutableSandboxedEnvironment):
    """What templates of one directory may use: an event's fields, `file()` of that directory, `blob()` of the store."""

    def __init__(self, directory: str, store: Store) -> None:
        super().__init__(undefined=StrictUndefined, keep_trailing_newline=True, finalize=_inserted)
        self._directory, self._store = directory, store
        self.globals = {"file": self.file, "blob": self.blob}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`body.items` is the body's field of that name, and no method."""
        return (
            self.getitem(obj, attribute)
            if isinstance(obj, dict)
            else super().getattr(obj, attribute)
        )

    def getitem(self, obj: Any, argument: Any) -> Any:
        if not isinstance(obj, dict):
            return super().getitem(obj, argument)
        if argument in obj:
            return obj[argument]
        there = ", ".join(map(repr, obj)) or "nothing"
        return self.undefined(f"no {argument!r} here, but {there[:200]}", obj=obj, name=argument)

    def file(self, name: str) -> str:
        """The text of a file in the directory or below it, also after all symbolic links. Raises BadData."""
        return text(self._directory, name)

    def blob(self, said: Any) -> str:
        """The text of a blob, of which an event says {sha256, …}. Raises BadData."""
        digest = said.get("sha256") if isinstance(said, dict) else said
        try:
            return blobs.get(self._store, digest).decode("utf-8", "replace")
        except No as gone:
            raise BadData(gone.what, todo=gone.todo) from None


class Words:
    """The words of a command, each a template."""

    def __init__(self, templates: Templates, words: Sequence[str], where: str) -> None:
        """Raises BadData on a template that cannot be one."""
        self._words, self._where = list(words), where
        self._templates = [
            compiled(templates, word, f"{where}[{n}]") for n, word in enumerate(words)
        ]
        if is_template(words[0]):
            raise BadData(
                "the program's name is a template",
                f"{where}[0]",
                todo="name it, so that no event can",
            )
        for number, word in enumerate(words):
            literal = word.partition("{")[0]
            if is_template(word) and literal.startswith("-") and "=" not in literal:
                what = f"{word[:40]!r} lets an event choose an option"
                raise BadData(
                    what,
                    f"{where}[{number}]",
                    todo='use "--option={{…}}", or two words behind a "--"',
                )

    def render(self, values: Json) -> list[str]:
        """The words for these values. Raises BadData: one is no word, or would be taken for an option."""
        found = [
            rendered(one, values, f"{self._where}[{n}]") for n, one in enumerate(self._templates)
        ]
        for number, (word, source) in enumerate(zip(found, self._words, strict=True)):
            where = f"{self._where}[{number}]"
            if "\0" in word:
                raise BadData("has a NUL, which no word of a command can", where)
            if (
                word.startswith("-")
                and not source.startswith("-")
                and "--" not in self._words[:number]
            ):
                what = f"became {word[:40]!r}, which would be an option"
                raise BadData(
                    what, where, todo='put a word "--" before it, if the program knows that'
                )
        size = sum(len(word.encode()) for word in found)
        if size > WORDS:
            raise BadData(
                f"has {size:,} bytes, more than {WORDS:,}", self._where, todo="put it into stdin"
            )
        return found


def is_template(source: str) -> bool:
    """Does anything of it depend on an event?"""
    return any(mark in source for mark in ("{{", "{%"))


def compiled(templates: Templates, source: str, where: str) -> Template:
    """The template. Raises BadData with the line of its mistake."""
    try:
        return templates.from_string(source)
    except TemplateError as error:
        line = getattr(error, "lineno", 1)
        raise BadData(
            f"line {line} of the template: {error.message}", where, todo="mend the file"
        ) from None


def rendered(template: Template, values: Json, where: str) -> str:
    """What the template becomes. Raises BadData: a value is not there, or it becomes too long."""
    try:
        made = template.render(values)
        size = len(made.encode())
    except BadData as fault:
        fault.where = f"{where}: {fault.where}" if fault.where else where
        raise
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise BadData(str(error)[:300], where, todo="see `ev consume --dry-run`") from None
    if size > LONGEST:
        raise BadData(f"has {size:,} bytes, more than {LONGEST:,}", where)
    return made


def _inserted(value: Any) -> Any:
    """What is not text is inserted as JSON."""
    return value if isinstance(value, str | Undefined) else codec.dumps(value).decode()


def text(directory: str, name: str) -> str:
    """The text of a file in the directory or below it, also after all symbolic links. Raises BadData."""
    root = os.path.realpath(directory)
    try:
        path = os.path.realpath(os.path.join(root, name))
        if os.path.isabs(name) or os.path.commonpath((root, path)) != root:
            raise BadData(
                "is not below the consumer's file",
                name,
                todo="only files beside and below it are read",
            )
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise BadData("is no regular file", name)
            data = file.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise BadData(f"has more than {LONGEST:,} bytes", name)
        return data.decode()
    except OSError as error:
        raise BadData((error.strerror or str(error)).lower(), name) from None
    except ValueError as reason:  # a NUL in the name, no UTF-8
        raise BadData(str(reason), name) from None
