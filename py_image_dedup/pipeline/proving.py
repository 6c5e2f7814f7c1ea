"""What matches are proven with, if they are to be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from py_image_dedup.media.process import command_of
from py_image_dedup.model.match import MatchClass
from py_image_dedup.pipeline.options import FindOptions, Matching, Options, Verifier
from py_image_dedup.store.base import Store

if TYPE_CHECKING:
    from py_image_dedup.pipeline.verification import Proven


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
    from py_image_dedup.pipeline.verification import Proven, Prover

    with Prover(
        store, verifier_of(options.find), mark_of(options), options.find.distance_bound, options.find.threads
    ) as prover:
        yield Proven(prover, options.removal.remove_classes | {MatchClass.SIMILAR})


def mark_of(options: Options) -> int:
    """Return what proofs are marked with: one number for all methods they depend on and for which pairs were looked at.

    Args:
        options: Of the run.
    """
    versions = options.analyse.versions
    methods = (versions.media * 1000 + versions.features) * 1000 + verifier_of(options.find).version
    return methods * 10_000 + round(options.find.distance_bound * 1000)


def verifier_of(options: FindOptions) -> Verifier:
    """Return what matches are proven with: what the options say, or ``match.verify``.

    Args:
        options: What matches.
    """
    if options.verifier is not None:
        return options.verifier
    # Not at the top: it brings what compares pictures.
    from py_image_dedup.verification.verify import VERIFY_VERSION, verify

    return Verifier(verify, VERIFY_VERSION, command_of("py_image_dedup.verification.worker"))
