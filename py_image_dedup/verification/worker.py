"""The worker process that verifies pairs of pictures, one after another.

Started as ``python -m py_image_dedup.verification.worker`` with a socket as its standard input. Verification is many
short steps in the interpreter, so two threads of one process get no more done than one (measured: 1.30 ms a pair either
way). The worker exits when the other side closes the socket, which includes the death of the parent process.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Final, TypeAlias

from py_image_dedup.features.extract import unpack
from py_image_dedup.model.match import Verdict
from py_image_dedup.signature.blas import single_threaded_blas
from py_image_dedup.verification.picture import Picture
from py_image_dedup.verification.verify import verify

_PREPARED: Final = 200
"""Prepared pictures that stay in memory: 50 MB. Pages of one template come again and again."""

Request: TypeAlias = tuple[Sequence[tuple[int, int]], Mapping[int, bytes]]
"""Pairs of content ids, and the packed features of those contents that have some."""

Response: TypeAlias = list[Verdict | None] | None
"""A verdict for each pair; ``None`` if that failed: the parent then verifies the pairs itself and sees the error."""


def verdicts(
    pairs: Sequence[tuple[int, int]],
    pictures: Mapping[int, Picture],
    verify: Callable[[Picture, Picture], Verdict | None] = verify,
) -> list[Verdict | None]:
    """Return the verdicts on pairs of content ids; a content without a picture matches nothing.

    Args:
        pairs: Pairs of content ids.
        pictures: Pictures by content id.
        verify: Verifies one pair.

    Raises:
        ValueError: The index entry of a picture is damaged.
    """
    return [
        verify(pictures[left], pictures[right]) if left in pictures and right in pictures else None
        for left, right in pairs
    ]


def respond(request: Request, prepared: OrderedDict[bytes, Picture] | None = None) -> list[Verdict | None]:
    """Return the verdicts on the pairs of a request.

    Args:
        request: The pairs, and the features of their contents.
        prepared: Pictures of earlier requests by their packed features; the last few hundred are kept in it.

    Raises:
        ValueError: The index entry of a picture is damaged.
    """
    pairs, packed = request
    prepared = OrderedDict() if prepared is None else prepared
    pictures: dict[int, Picture] = {}
    for number, features in packed.items():
        picture = prepared.get(features)
        if picture is None:
            picture = prepared[features] = Picture(unpack(features))
        prepared.move_to_end(features)
        pictures[number] = picture
    while len(prepared) > _PREPARED:
        prepared.popitem(last=False)
    return verdicts(pairs, pictures)


def main() -> int:
    """Serve requests on standard input until the other side is gone."""
    with Connection(os.dup(sys.stdin.fileno())) as connection, single_threaded_blas, suppress(EOFError, OSError):
        prepared: OrderedDict[bytes, Picture] = OrderedDict()
        while True:
            request: Request = connection.recv()
            response: Response = None
            with suppress(ValueError):
                response = respond(request, prepared)
            connection.send(response)
    return 0


if __name__ == "__main__":
    sys.exit(main())
