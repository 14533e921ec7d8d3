"""`suppress` and `contextmanager`, as contextlib's: which loads functools and collections, 3 ms of every call."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import contextmanager, suppress
else:

    class suppress:  # noqa: N801
        """Go on behind the block if it raises one of these."""

        def __init__(self, *kinds):
            self._kinds = kinds

        def __enter__(self):
            pass

        def __exit__(self, kind, error, trace):
            return kind is not None and issubclass(kind, self._kinds)

    class _Steps:
        def __init__(self, steps):
            self._steps = steps

        def __enter__(self):
            return next(self._steps)

        def __exit__(self, kind, error, trace):
            if error is None:
                next(self._steps, None)
                return False
            try:
                self._steps.throw(error)
            except StopIteration:
                return True
            except BaseException as raised:
                if raised is error:
                    return False
                raise
            raise RuntimeError("it goes on behind what was raised")

    def contextmanager(function):
        """What the generator yields once is what the block has; the rest runs behind it."""
        return lambda *given, **named: _Steps(function(*given, **named))


__all__ = ["contextmanager", "suppress"]
