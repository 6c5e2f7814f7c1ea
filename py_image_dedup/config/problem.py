"""Errors of a configuration: one problem, and the exception that holds all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py_image_dedup.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Problem:
    """One error in the configuration.

    Attributes:
        key: Key path with dots; empty if the error is about the whole file.
        cause: Description of the error and, if possible, of the correct form.
        place: File and line, environment variable, or command line.
    """

    key: str
    cause: str
    place: str

    def __str__(self) -> str:
        """Return key, cause and place on one line."""
        return f"{self.key}: {self.cause} ({self.place})" if self.key else f"{self.place}: {self.cause}"


class ConfigError(Exception):
    """The configuration cannot be used.

    Args:
        problems: All errors that were found.
        warnings: Remarks about the rest of the configuration, one line each.
        settings: The settings without the wrong values, if the configuration could be read that far.
    """

    def __init__(
        self, problems: Iterable[Problem], warnings: Iterable[str] = (), settings: Settings | None = None
    ) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        self.settings = settings
        super().__init__("\n".join(str(problem) for problem in self.problems))
