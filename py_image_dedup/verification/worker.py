"""A process that verifies pairs of pictures, one after another.

Started as ``python -m py_image_dedup.verification.worker`` with a socket as its standard input. Verification is many
short steps in the interpreter: two threads of one process get no more done than one (measured: 1.30 ms a pair either
way). It ends when the other side closes the socket, also when that process was killed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TypeAlias

from py_image_dedup.features.extract import unpack
from py_image_dedup.model.match import Verdict
from py_image_dedup.signature.blas import single_threaded_blas
from py_image_dedup.verification.picture import Picture
from py_image_dedup.verification.verify import verify

Question: TypeAlias = tuple[Sequence[tuple[int, int]], Mapping[int, bytes]]
"""Pairs of numbers, and the packed features of those numbers that have some."""

Answer: TypeAlias = list[Verdict | None] | None
"""For each pair; ``None`` where that failed, which who asked will see when it tries."""


def verdicts(
    pairs: Sequence[tuple[int, int]],
    pictures: Mapping[int, Picture],
    verify: Callable[[Picture, Picture], Verdict | None] = verify,
) -> list[Verdict | None]:
    """Verify pairs of numbers; a picture that is not there matches nothing.

    Args:
        pairs: Of numbers.
        pictures: By number.
        verify: How one pair is looked at.

    Raises:
        ValueError: What the index has of a picture is damaged.
    """
    return [
        verify(pictures[left], pictures[right]) if left in pictures and right in pictures else None
        for left, right in pairs
    ]


def answer(question: Question) -> list[Verdict | None]:
    """Verify the pairs of a question.

    Raises:
        ValueError: What the index has of a picture is damaged.
    """
    pairs, packed = question
    return verdicts(pairs, {number: Picture(unpack(features)) for number, features in packed.items()})


def main() -> int:
    """Answer questions on standard input until the other side is gone."""
    with Connection(os.dup(sys.stdin.fileno())) as connection, single_threaded_blas, suppress(EOFError, OSError):
        while True:
            question: Question = connection.recv()
            found: Answer = None
            with suppress(ValueError):
                found = answer(question)
            connection.send(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
