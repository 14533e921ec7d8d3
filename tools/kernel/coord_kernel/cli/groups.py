"""Options that go together, as one value."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


class Group:
    """A subclass names its options as annotated attributes, each with its default."""

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            getattr(self, name) == getattr(other, name) for name in self.__annotations__
        )

    __hash__ = None  # type: ignore[assignment]

    def given(self) -> dict[str, Any]:
        """The options that were given, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def taken(cls, values: dict[str, Any]) -> Self:
        """The group out of a command's values, which has them no more."""
        return cls(**{name: values.pop(name) for name in cls.__annotations__ if name in values})
