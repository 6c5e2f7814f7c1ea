"""What is made of one picture. Apart from what makes it, so that this process can do without Pillow."""

from __future__ import annotations

from dataclasses import dataclass

from py_image_dedup.model.photo import PhotoFacts


@dataclass(frozen=True, slots=True)
class Examined:
    """What was made of one picture.

    Attributes:
        facts: What it says about itself.
        width: Of the canonical grey picture.
        height: Of the canonical grey picture.
        grey: Its bytes, row by row.
        made: What was made of it where it was decoded, as ``media.guard.Make`` says; often nothing.
    """

    facts: PhotoFacts
    width: int
    height: int
    grey: bytes
    made: tuple[bytes, ...] = ()
