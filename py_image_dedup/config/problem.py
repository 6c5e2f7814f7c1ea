"""What is wrong with a configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        key: The key path with dots; empty if it is the file as a whole.
        cause: What is wrong and, if possible, what would be right.
        place: The file and line, the environment variable, or the command line.
    """

    key: str
    cause: str
    place: str

    def __str__(self) -> str:
        """One line: key, cause, place."""
        return f"{self.key}: {self.cause} ({self.place})" if self.key else f"{self.place}: {self.cause}"


class ConfigError(Exception):
    """The configuration cannot be used; ``problems`` has everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
