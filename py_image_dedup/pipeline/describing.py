"""Where pictures are described: in their decoder's process if there are many, here if a few are not worth its start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from py_image_dedup.features.description import Description
from py_image_dedup.media.decoder import Decoded, Decoder
from py_image_dedup.media.errors import MediaError
from py_image_dedup.media.guarded import Guard
from py_image_dedup.media.limits import Limits, MemoryBudget
from py_image_dedup.media.process import command_of
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.signature.compute import compute

COMMAND: Final = command_of("py_image_dedup.features.describe")

MANY: Final = 24
"""Files for each thread from which on the processes earn what loading OpenCV costs them: a quarter of a second."""


def decoder_for(files: int, threads: int, *, features: bool) -> Callable[[Limits, MemoryBudget], Decoder]:
    """Choose what decodes.

    Args:
        files: How many there are.
        threads: How many decoders will share them.
        features: Whether local features are wanted.
    """
    return _describing if features and files >= MANY * threads else Decoder


def description(decoded: Decoded, *, features: bool) -> Description:
    """Return the description that came with a picture, or make it.

    Args:
        decoded: The picture.
        features: Whether local features are wanted.

    Raises:
        MediaError: What came with it is no description.

    Thread-safety: any number of threads.
    """
    if not features:
        return Description(compute(decoded.grey))
    if decoded.made:
        try:
            return Description.of_parts(decoded.made)
        except ValueError as error:
            raise MediaError(FailureReason.CRASHED, "the decoder's answer made no sense") from error
    # Not at the top: it brings OpenCV.
    from py_image_dedup.features.describe import describe

    return describe(decoded.grey)


def _describing(limits: Limits, budget: MemoryBudget) -> Decoder:
    return Decoder(limits, budget, Guard(limits, COMMAND))
