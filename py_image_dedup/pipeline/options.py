"""What a run does, phase by phase. Here and not with the phases, which bring what they work with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from py_image_dedup.features.codebook import FEATURES_VERSION
from py_image_dedup.matching.matcher import Eligibility, Scope
from py_image_dedup.media.decoder import MEDIA_VERSION
from py_image_dedup.media.formats import EXTENSIONS
from py_image_dedup.media.limits import Limits
from py_image_dedup.model.events import Observer
from py_image_dedup.model.match import RankedGroup, Verdict
from py_image_dedup.model.photo import Versions
from py_image_dedup.model.plan import Plan
from py_image_dedup.ranking.rules import DEFAULT_IDENTICAL_RULES, DEFAULT_RULES, RULES, Rule, parse_identical_rules
from py_image_dedup.removal.plan import RemovalOptions
from py_image_dedup.scan.selector import Selector
from py_image_dedup.signature.compute import SIGNATURE_VERSION
from py_image_dedup.store.base import Store

if TYPE_CHECKING:
    from py_image_dedup.verification.picture import Picture


_NANOSECONDS = 1_000_000_000

VERSIONS = Versions(media=MEDIA_VERSION, signature=SIGNATURE_VERSION)
"""Of the methods that entries are made with, if without features; an entry with others is stale."""


NEAR = 0.10
"""Signatures of the same pixels in a JPEG and in another format are not further apart than this, as a rule.

A JPEG's grey picture comes from its coefficients at a reduced scale, another format's from its pixels. Measured were 0
for small photos, up to 0.055 for those of a phone, up to 0.09 for nearly white scans and 0.115 for one of 60 of them;
such a pair is similar, if anything. Between files of one format equal pixels give equal signatures.
"""


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class AnalyseOptions:
    """How files are analysed.

    Attributes:
        threads: How many decode at a time; as many as there are CPUs for this process, if not given.
        limits: What one file may cost.
        features: Local features are computed too: what crops and verified matches are found by.
    """

    threads: int = field(default_factory=_cpus)
    limits: Limits = field(default_factory=Limits)
    features: bool = True

    @property
    def versions(self) -> Versions:
        """The versions of the methods that are used; an entry with others is stale."""
        return replace(VERSIONS, features=FEATURES_VERSION) if self.features else VERSIONS


class Matching(StrEnum):
    """How similar pictures are told from others."""

    DISTANCE = "distance"
    VERIFIED = "verified"


MAX_DISTANCE: Mapping[Matching, float] = {Matching.DISTANCE: 0.10, Matching.VERIFIED: 0.35}
"""How far apart signatures may be where nobody said so: as the reference program has it where the distance decides,
and up to where it finds copies that share no visual words where a match is proven anyway."""


@dataclass(frozen=True, slots=True)
class VerificationMethod:
    """How two pictures are proven to match.

    Attributes:
        verify: Lays one picture on another one; ``None`` if they do not match. Called from several threads at once.
        version: Of the method: grows when the same two pictures may get another verdict.
        command: Starts a process that does the same, as ``verification.worker`` does; none if there is no such.
    """

    verify: Callable[[Picture, Picture], Verdict | None]
    version: int
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FindOptions:
    """What counts as a duplicate.

    Attributes:
        max_distance: Of signatures, 0 (the same) to 1 (unlike). Where matches are verified: up to which distance two
            pictures are looked at for it; what shares visual words is looked at in any case. ``None``: as
            ``MAX_DISTANCE`` has it.
        scope: Among which files duplicates are looked for.
        max_file_modification_time_diff: Seconds; files further apart in time are no duplicates.
        compare_pixels: Tell files with the same pixels from similar ones. It decodes candidates whole, once ever.
        threads: How many candidates are decoded at a time.
        limits: What one may cost.
        matching: How similar pictures are told from others. ``verified`` needs an analysis with features.
        verifier: What matches are proven with where matching is ``verified``; ``verification.verify`` if not given.
    """

    max_distance: float | None = None
    scope: Scope = Scope.ROOT
    max_file_modification_time_diff: float | None = None
    compare_pixels: bool = True
    threads: int = 2
    limits: Limits = field(default_factory=Limits)
    matching: Matching = Matching.VERIFIED
    verifier: VerificationMethod | None = None

    @property
    def distance_bound(self) -> float:
        """Up to which distance signatures count."""
        return MAX_DISTANCE[self.matching] if self.max_distance is None else self.max_distance

    @property
    def eligibility(self) -> Eligibility:
        """Which files may match at all."""
        seconds = self.max_file_modification_time_diff
        return Eligibility(None if seconds is None else round(seconds * _NANOSECONDS))


@dataclass(frozen=True, slots=True)
class Options:
    """What a run does, phase by phase.

    Attributes:
        selector: Which files count.
        analyse: How files are read.
        find: What counts as a duplicate.
        inspect: Compare every file in full with its keeper before it counts as redundant; without, groups are the quick
            answer of small copies of the pictures, and nothing is removed but files with the same bytes.
        rules: Which file of a group stays: the first rule that tells two files apart decides.
        identical_rules: Rules that choose among files with the same bytes, the weightiest first.
        removal: What happens to the others.
        quarantine_days: How long removed files wait in quarantine before a later run deletes them; ``None``: for ever.
        state_directory: Where runs leave their plans and journals, and what one run at a time may use. Without it
            there are dry runs only.
    """

    selector: Selector = field(default_factory=lambda: Selector(EXTENSIONS))
    analyse: AnalyseOptions = field(default_factory=AnalyseOptions)
    find: FindOptions = field(default_factory=FindOptions)
    inspect: bool = True
    rules: tuple[Rule, ...] = tuple(RULES[name] for name in DEFAULT_RULES)
    identical_rules: tuple[Rule, ...] = parse_identical_rules(DEFAULT_IDENTICAL_RULES)
    removal: RemovalOptions = field(default_factory=RemovalOptions)
    quarantine_days: float | None = 30
    state_directory: Path | None = None

    @property
    def walked(self) -> Selector:
        """Which files count in this run: what was moved away as a duplicate must not come back as a find."""
        target = self.removal.target_directory
        if target is None:
            return self.selector
        return replace(self.selector, set_apart=self.selector.set_apart | {os.fsencode(os.path.normpath(target))})


Confirm: TypeAlias = Callable[[Plan, Sequence[RankedGroup]], bool]
"""Asked once, before anything is removed; ``False`` makes the run a dry one."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a run works with.

    Attributes:
        store: The index.
        options: What it does.
        observer: Told of everything, from several threads.
        should_stop: Polled by all long work.
        confirm: Asked once, before anything is removed.
    """

    store: Store
    options: Options
    observer: Observer
    should_stop: Callable[[], bool]
    confirm: Confirm | None = None
