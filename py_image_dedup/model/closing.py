"""Objects that hold a resource and give it back at the end of a ``with`` block."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """A mixin for classes with a ``close`` method: a ``with`` block closes the object at its end, error or not."""

    __slots__ = ()

    def close(self) -> None:
        """Release all resources; closing twice is not an error."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the object."""
        self.close()
