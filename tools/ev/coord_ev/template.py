"""Templates of a consumer: from an event to the words of a command. Jinja2, in its sandbox.

The consumer's author wrote the template; anybody may have written the event. So

    1. the fields of an event are inserted as text, and never read as a template
    2. a template cannot be the name of the program, and cannot begin an option's name
    3. a word that turns out to begin with `-` is refused, unless `--` stands before it
    4. files are read beside and below the consumer's file only
    5. words, inputs and files have a largest size
    6. no shell is involved
"""

from __future__ import annotations

import os
import stat
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, Undefined, pass_context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from coord_envelope import BadData, No, codec
from coord_ev.bounded import TODO, described
from coord_kernel.store.blobs import Blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2.runtime import Context

    from coord_envelope.codec import Json
    from coord_kernel import Store

WORDS = 40 << 10
"""Most bytes of a command's words together: they are part of an event."""
LONGEST = 1 << 20
"""Most bytes of a file, and of the result of a template."""


class Templates(ImmutableSandboxedEnvironment):
    """What a template may use: an event's fields, `file()` and `blob()`."""

    def __init__(self, directory: str, store: Store) -> None:
        """`file()` reads in and below the directory, `blob()` in the store."""
        super().__init__(
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            finalize=_inserted,
            optimized=False,  # compiling computes nothing: `bounded` is for rendering
        )
        self._directory, self._store = directory, store
        self.globals = {"file": self.file, "blob": self.blob}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`body.items` is the body's field of that name, not a method."""
        if isinstance(obj, dict):
            return self.getitem(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if not isinstance(obj, dict):
            return super().getitem(obj, argument)
        if argument in obj:
            return obj[argument]
        names = ", ".join(map(repr, obj)) or "nothing"
        return self.undefined(f"no {argument!r} here, but {names[:200]}", obj=obj, name=argument)

    def file(self, name: str) -> str:
        """The text of a file in or below the directory, links followed. Raises BadData."""
        return text(self._directory, name)

    def blob(self, blob: Any) -> str:
        """The text of a blob, by its digest or an event's {sha256, …}. Raises BadData."""
        digest = blob.get("sha256") if isinstance(blob, dict) else blob
        try:
            return Blobs(self._store).get(digest).decode("utf-8", "replace")
        except No as missing:
            raise BadData(missing.what, todo=missing.todo) from None


class Words:
    """The words of a command, each a template."""

    def __init__(self, templates: Templates, words: Sequence[str], where: str) -> None:
        """Raises BadData if a word is not a valid template, or a template not allowed there."""
        self._words, self._where = list(words), where
        self._templates = [
            compiled(templates, word, self._place(number)) for number, word in enumerate(words)
        ]
        if not words[0]:
            raise BadData("is empty", self._place(0), todo="write the program's name")
        if is_template(words[0]):
            raise BadData(
                "the program's name is a template",
                self._place(0),
                todo="write the name itself, so that no event can choose it",
            )
        for number, word in enumerate(words):
            if "\0" in word:
                raise BadData("contains a NUL byte", self._place(number))
            literal = word.partition("{")[0]
            if is_template(word) and literal.startswith("-") and "=" not in literal:
                raise BadData(
                    f"{word[:40]!r} lets an event choose an option",
                    self._place(number),
                    todo='use "--option={{…}}", or two words after a "--"',
                )

    def render(self, values: Json) -> list[str]:
        """The words for these values.

        Raises BadData if a word contains NUL, could be taken for an option, or all are too long.
        """
        words = [
            rendered(template, values, self._place(number))
            for number, template in enumerate(self._templates)
        ]
        for number, (word, source) in enumerate(zip(words, self._words, strict=True)):
            if "\0" in word:
                raise BadData("contains a NUL byte", self._place(number))
            literal = source.startswith("-") or "--" in self._words[:number]
            if word.startswith("-") and not literal:
                raise BadData(
                    f"became {word[:40]!r}, which would be an option",
                    self._place(number),
                    todo='put a word "--" before it, if the program supports that',
                )
        size = sum(len(word.encode()) for word in words)
        if size > WORDS:
            raise BadData(
                f"has {size:,} bytes, more than {WORDS:,}", self._where, todo="put it into stdin"
            )
        return words

    def _place(self, number: int) -> str:
        return f"{self._where}[{number}]"


def is_template(source: str) -> bool:
    """Does the text depend on an event?"""
    return any(mark in source for mark in ("{{", "{%"))


def compiled(templates: Templates, source: str, where: str) -> Template:
    """The template. Raises BadData with the line of the mistake."""
    try:
        return templates.from_string(source)
    except TemplateError as error:
        what = f"line {getattr(error, 'lineno', 1)} of the template: {error.message}"
        raise BadData(what, where, todo="correct the file") from None
    except Exception as error:  # RecursionError, or what Python's compiler says
        what = f"not a valid template: {described(error)}"
        raise BadData(what, where, todo="correct the file") from None


def rendered(template: Template, values: Json, where: str) -> str:
    """The template's result. Raises BadData if it raises anything or is too long, MemoryError."""
    try:
        result = template.render(values)
        size = len(result.encode())
    except BadData as fault:
        fault.where = f"{where}: {fault.where}" if fault.where else where
        raise
    except MemoryError:
        raise
    except Exception as error:  # a filter may raise anything
        raise BadData(described(error), where, todo=TODO) from None
    if size > LONGEST:
        raise BadData(f"has {size:,} bytes, more than {LONGEST:,}", where)
    return result


@pass_context
def _inserted(_: Context, value: Any) -> Any:
    """Text as it is; any other value as JSON. (For its context, Jinja computes no constants.)"""
    return value if isinstance(value, str | Undefined) else codec.dumps(value).decode()


def text(directory: str, name: str) -> str:
    """The text of a file in or below the directory, links followed. Raises BadData."""
    root = os.path.realpath(directory)
    try:
        path = os.path.realpath(os.path.join(root, name))
        if os.path.isabs(name) or os.path.commonpath((root, path)) != root:
            raise BadData(
                "outside the directory of the consumer's file",
                name,
                todo="only files beside and below it are read",
            )
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise BadData("not a regular file", name)
            data = file.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise BadData(f"has more than {LONGEST:,} bytes", name)
        return data.decode()
    except OSError as error:
        raise BadData((error.strerror or str(error)).lower(), name) from None
    except ValueError as reason:  # a NUL in the name, bytes that are not UTF-8
        raise BadData(str(reason), name) from None
