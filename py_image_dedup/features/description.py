"""What the index keeps of the looks of a picture, and its way from one process to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from py_image_dedup.model.photo import Signature


@dataclass(frozen=True, slots=True)
class Description:
    """What is kept of the looks of a picture; nothing of one without structure.

    Attributes:
        signature: Of the whole.
        features: Packed, see ``features.pack``.
        words: Packed, see ``words.pack_words``.
    """

    signature: Signature | None = None
    features: bytes | None = None
    words: bytes | None = None

    @property
    def parts(self) -> tuple[bytes, ...]:
        """As bytes for another process."""
        return (self.signature.values if self.signature else b"", self.features or b"", self.words or b"")

    @classmethod
    def of_parts(cls, parts: Sequence[bytes]) -> Self:
        """Undo ``parts``.

        Raises:
            ValueError: These are not the parts of a description.
        """
        values, features, words = parts
        return cls(Signature(values), features, words) if values else cls()
