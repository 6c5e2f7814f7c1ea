"""What matches are proven with, if they are to be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from py_image_dedup.model.match import MatchClass
from py_image_dedup.phases.options import Matching, Options, Verifier
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
        ValueError: Matches are to be verified, and files are analysed without what they are verified by.
    """
    if options.find.matching is Matching.DISTANCE:
        yield None
        return
    if not options.analyse.features:
        raise ValueError("matches cannot be verified without features: analyse with them, or match by distance")
    # Not at the top: it brings what compares pictures.
    from py_image_dedup.phases.verification import Proven, Prover

    verifier = options.find.verifier or _verifier()
    with Prover(store, verifier, mark_of(options), options.find.distance_bound, options.find.threads) as prover:
        yield Proven(prover, options.removal.remove_classes | {MatchClass.SIMILAR})


def mark_of(options: Options) -> int:
    """Return what proofs are marked with: one number for all methods they depend on and for which pairs were looked at.

    Args:
        options: Of the run.
    """
    versions, verifier = options.analyse.versions, options.find.verifier or _verifier()
    methods = (versions.media * 1000 + versions.features) * 1000 + verifier.version
    return methods * 10_000 + round(options.find.distance_bound * 1000)


def _verifier() -> Verifier:
    from py_image_dedup.match.verify import VERIFY_VERSION, verify_features

    return Verifier(verify_features, VERIFY_VERSION)
