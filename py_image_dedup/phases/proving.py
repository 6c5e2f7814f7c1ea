"""What matches are proven with, if they are to be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from py_image_dedup.model.match import MatchClass
from py_image_dedup.phases.options import Matching, Options
from py_image_dedup.store.base import Store

if TYPE_CHECKING:
    from py_image_dedup.phases.verification import Proven


@contextmanager
def proving(store: Store, options: Options) -> Iterator[Proven | None]:
    """Give what proves matches for a block; ``None`` where the distance of signatures decides.

    Args:
        store: The index.
        options: Of the run.

    Raises:
        ValueError: Matches are to be verified, and the options have nothing to verify them with.
    """
    if options.find.matching is Matching.DISTANCE:
        yield None
        return
    # Not at the top: it brings what compares pictures.
    from py_image_dedup.phases.verification import Proven, Prover, verification_mark

    verifier = options.find.verifier
    if verifier is None:
        raise ValueError("matches are to be verified, and the options have no verifier")
    mark = verification_mark(options.analyse.versions, verifier)
    with Prover(store, verifier, mark, options.find.max_distance, options.find.threads) as prover:
        yield Proven(prover, options.removal.remove_classes | {MatchClass.SIMILAR})
