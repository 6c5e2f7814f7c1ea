"""A file becomes facts and the canonical grey picture, or a digest of its pixels, whatever it contains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from py_image_dedup.media.errors import explain
from py_image_dedup.media.examined import Examined
from py_image_dedup.media.formats import HEAD_BYTES, TAIL_BYTES, recognise
from py_image_dedup.media.guarded import Guard
from py_image_dedup.media.limits import Limits, MemoryBudget
from py_image_dedup.media.source import Source, read_source
from py_image_dedup.media.version import MEDIA_VERSION
from py_image_dedup.model.photo import PhotoFacts

__all__ = ["MEDIA_VERSION", "Decoded", "Decoder", "decode", "pixel_digest"]

Grey: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture that was decoded whole.

    Attributes:
        facts: What it says about itself.
        grey: The canonical grey picture: uint8 of shape (height, width), C-contiguous, read-only; see ``media.grey``.
        made: What the guarded process made of it besides, if it is one that does.
    """

    facts: PhotoFacts
    grey: Grey
    made: tuple[bytes, ...] = ()


class Decoder:
    """Decodes files, one after another, in a guarded process: what crashes there costs its file and nothing else.

    For one thread at a time; give each thread its own, and all of them one budget. Making one costs nothing: its
    process is started by the first file, or by ``prepare``, and then reused. Use it in a ``with`` block, or close it.

    Args:
        limits: What a file may cost.
        budget: Memory that several decoders share; its own if not given.
        guard: The process.
    """

    def __init__(
        self, limits: Limits | None = None, budget: MemoryBudget | None = None, guard: Guard | None = None
    ) -> None:
        self._limits = Limits() if limits is None else limits
        self._budget = MemoryBudget(self._limits.memory_bytes) if budget is None else budget
        self._guard = Guard(self._limits) if guard is None else guard

    def prepare(self) -> None:
        """Start the process, without waiting for it: there will soon be something to decode."""
        self._guard.start()

    def decode(self, source: Source) -> Decoded:
        """Make the facts and the canonical grey picture of a file that was read.

        Raises:
            MediaError: It is no picture (``not-an-image``), of a kind that is not decoded (``unsupported``), not whole
                (``truncated``, ``corrupt``), or too costly (``too-large``, ``timeout``, ``crashed``); ``changed``.
        """
        try:
            kind = _recognise(source)
            with self._budget.share() as admit:
                found = self._guard.examine(source, kind, admit)
            source.check_unchanged()
        except Exception as error:
            raise explain(error) from error
        return Decoded(found.facts, _array(found), found.made)

    def pixel_digest(self, path: Path) -> bytes:
        """Digest what a viewer shows of a file, 32 bytes; see ``media.pixels``.

        Raises:
            MediaError: As ``read_source`` and ``decode``; ``unsupported`` also where pixels cannot be compared exactly.
        """
        with read_source(path) as source:
            try:
                kind = _recognise(source)
                with self._budget.share() as admit:
                    digest = self._guard.digest(source, kind, admit)
                source.check_unchanged()
            except Exception as error:
                raise explain(error) from error
        return digest

    def close(self) -> None:
        """End the guarded process; closing twice is no error."""
        self._guard.close()

    def __enter__(self) -> Self:
        """Return the decoder itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def decode(source: Source, limits: Limits | None = None) -> Decoded:
    """Decode one file; for more than one, a ``Decoder`` does not start a process for each.

    Raises:
        MediaError: As ``Decoder.decode``.
    """
    with Decoder(limits) as decoder:
        return decoder.decode(source)


def pixel_digest(path: Path, limits: Limits | None = None) -> bytes:
    """Digest the pixels of one file; for more than one, a ``Decoder`` does not start a process for each.

    Raises:
        MediaError: As ``Decoder.pixel_digest``.
    """
    with Decoder(limits) as decoder:
        return decoder.pixel_digest(path)


def _recognise(source: Source) -> str:
    return recognise(source.head(HEAD_BYTES), source.tail(TAIL_BYTES), source.stat.path.suffix)


def _array(found: Examined) -> Grey:
    return np.frombuffer(found.grey, dtype=np.uint8).reshape(found.height, found.width)
