"""A mixin for objects that release a resource at the end of a ``with`` block."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """Context manager behaviour for classes with a ``close`` method, which is called on errors as well."""

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
