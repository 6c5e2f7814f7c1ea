"""The options of a run and its stages, kept apart from the stages so that importing them stays cheap."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from py_image_dedup.features.codebook import FEATURES_VERSION
from py_image_dedup.matching.criteria import (
    DEFAULT_MATCHING,
    DEFAULT_SCOPE,
    DEFAULT_SIMILARITY,
    STRICT_DISTANCE,
    Matching,
    Scope,
    Similarity,
    distance_bound,
)
from py_image_dedup.matching.matcher import Eligibility
from py_image_dedup.media.decoder import MEDIA_VERSION
from py_image_dedup.media.formats import EXTENSIONS
from py_image_dedup.media.limits import Limits, available_cpus
from py_image_dedup.model.events import Observer
from py_image_dedup.model.file import Inventory
from py_image_dedup.model.match import RankedGroup, Verdict
from py_image_dedup.model.photo import Versions
from py_image_dedup.model.plan import Plan
from py_image_dedup.ranking.rules import DEFAULT_IDENTICAL_RULES, DEFAULT_RULES, RULES, Rule, parse_identical_rules
from py_image_dedup.removal.plan import QUARANTINE_DAYS, RemovalOptions
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.scan.selector import Selector
from py_image_dedup.signature.compute import SIGNATURE_VERSION
from py_image_dedup.store.base import Store
from py_image_dedup.video.facts import VIDEO_FEATURES, VIDEO_VERSION
from py_image_dedup.video.recognition import readable_suffixes

if TYPE_CHECKING:
    from py_image_dedup.verification.picture import Picture


_NANOSECONDS = 1_000_000_000

VERSIONS = Versions(media=MEDIA_VERSION, signature=SIGNATURE_VERSION)
"""Versions of the methods that produce entries without features; an entry with others is stale."""


VIDEO_VERSIONS = replace(VERSIONS, features=VIDEO_FEATURES + VIDEO_VERSION)
"""Versions of the methods that produce entries of videos. No photo has them, so an entry tells what it is of."""


NEAR = 0.10
"""Usual upper bound of the distance of signatures of the same pixels in a JPEG and in another format.

A JPEG's grey picture comes from its coefficients at a reduced scale, another format's from its pixels. Measured
distances are 0 for small photos, up to 0.055 for photos of a phone, up to 0.09 for nearly white scans and 0.115 for one
of 60 of these; such a pair counts as similar at best. In files of one format equal pixels give equal signatures.
"""


@dataclass(frozen=True, slots=True)
class AnalyseOptions:
    """Options of the stage ``analyse``.

    Attributes:
        threads: Number of files that are decoded at a time; by default the number of CPUs of this process.
        limits: Cost limits of one file.
        features: Whether local features are extracted, with which crops and verified matches are found.
        videos: File name endings of videos that are compared with each other, lower case with the dot; empty for none.
            By default all, if the extra ``video`` is installed.
    """

    threads: int = field(default_factory=available_cpus)
    limits: Limits = field(default_factory=Limits)
    features: bool = True
    videos: frozenset[str] = field(default_factory=readable_suffixes)

    @property
    def versions(self) -> Versions:
        """The versions of the methods in use; an entry with others is stale."""
        return replace(VERSIONS, features=FEATURES_VERSION) if self.features else VERSIONS

    def is_video(self, raw_path: bytes) -> bool:
        """Return whether the file at a raw path has the name of a video; its content decides how it is read."""
        return bool(self.videos) and os.fsdecode(raw_path[raw_path.rfind(b".") :]).lower() in self.videos

    def is_current_video(self, versions: Versions) -> bool:
        """Return whether an entry is one of a video, made by the methods in use."""
        return versions == VIDEO_VERSIONS

    def photos_of(self, inventory: Inventory) -> Inventory:
        """Return an inventory without its videos."""
        if not self.videos:
            return inventory
        stamps = {raw: stamp for raw, stamp in inventory.stamps.items() if not self.is_video(raw)}
        return replace(inventory, stamps=stamps)


@dataclass(frozen=True, slots=True)
class VerificationMethod:
    """A method that verifies whether two pictures match.

    Attributes:
        verify: Function that aligns two pictures and returns the verdict; ``None`` if they do not match. It is called
            from several threads at once.
        version: Version of the method; it grows when a pair of pictures may get another verdict.
        command: Command of a worker process that does the same, such as ``verification.worker``; empty if there is
            none.
    """

    verify: Callable[[Picture, Picture], Verdict | None]
    version: int
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FindOptions:
    """Options of the stage ``find``, which define a duplicate.

    Attributes:
        max_distance: Largest distance of signatures, 0 (equal) to 1, of two files of which one makes the other
            redundant; at 0, only equal bytes or pixels do. ``None`` for the default of matching by distance, and for no
            bound where matches are verified.
        scope: Scope within which files are compared.
        max_file_modification_time_diff: Largest difference of modification times, in seconds, of two duplicates.
        similarity: How alike pictures must be to match.
        upright: Whether rotated and mirrored copies do not match.
        same_dimensions: Whether only pictures of the same width and height match.
        min_pixels: Smallest number of pixels of a picture that takes part.
        compare_pixels: Whether files with the same pixels are separated from similar ones. Candidates are decoded in
            full for it, each once ever.
        threads: Number of candidates that are decoded at a time; by default the number of CPUs of this process.
        limits: Cost limits of one candidate.
        matching: Method of matching similar pictures; ``verified`` needs an analysis with features.
        verifier: Method of verification where matching is ``verified``; ``verification.verify`` by default.
    """

    max_distance: float | None = None
    scope: Scope = DEFAULT_SCOPE
    max_file_modification_time_diff: float | None = None
    similarity: Similarity = DEFAULT_SIMILARITY
    upright: bool = False
    same_dimensions: bool = False
    min_pixels: int = 0
    compare_pixels: bool = True
    threads: int = field(default_factory=available_cpus)
    limits: Limits = field(default_factory=Limits)
    matching: Matching = DEFAULT_MATCHING
    verifier: VerificationMethod | None = None

    @property
    def distance_bound(self) -> float:
        """The largest distance of signatures that counts, 0 to 1."""
        default = distance_bound(self.matching, self.similarity)
        return default if self.max_distance is None else self.max_distance

    @property
    def candidate_bound(self) -> float:
        """The largest distance of signatures, 0 to 1, up to which pairs are verified, whether they share words or not.

        A smaller ``max_distance`` does not lower it, so that all runs share the stored verdicts.
        """
        default = distance_bound(self.matching, self.similarity)
        return default if self.max_distance is None else max(default, self.max_distance)

    @property
    def finds_similar(self) -> bool:
        """Whether pictures match that differ in their pixels."""
        return self.similarity not in (Similarity.IDENTICAL, Similarity.SAME_PIXELS) and self.max_distance != 0

    @property
    def finds_same_pixels(self) -> bool:
        """Whether pixels are compared."""
        return self.compare_pixels and self.similarity is not Similarity.IDENTICAL

    @property
    def is_verified(self) -> bool:
        """Whether similar pictures are searched and verified."""
        return self.finds_similar and self.matching is Matching.VERIFIED

    def eligibility(self, ownership: Ownership) -> Eligibility:
        """Return the conditions under which two files may match, whatever they show.

        Args:
            ownership: The roots, of which the protected ones are one side where the scope is ``AGAINST``.
        """
        seconds = self.max_file_modification_time_diff
        bound = self.max_distance if self.finds_similar else 0.0
        if self.similarity is Similarity.STRICT and self.matching is Matching.VERIFIED:
            bound = STRICT_DISTANCE if bound is None else min(bound, STRICT_DISTANCE)
        conditions = Eligibility(
            None if seconds is None else round(seconds * _NANOSECONDS), self.same_dimensions, self.upright, bound
        )
        return replace(conditions, side=ownership.is_protected) if self.scope is Scope.AGAINST else conditions


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a run.

    Attributes:
        selector: Selection of the files that take part.
        analyse: Options of the stage ``analyse``.
        find: Options of the stage ``find``.
        inspect: Whether every file is compared in full with its keeper before it counts as redundant. Otherwise groups
            rest on small copies of the pictures, and only dry runs are possible.
        rules: Rules that choose the keeper of a group: the first rule that prefers one of two files decides.
        identical_rules: Rules that choose among files with the same bytes, the most important first.
        units: Whether the files of one photo, such as a RAW photo and its JPEG, stay together.
        series: Whether the shots of a burst or of an exposure bracket are no copies of each other, and go as a whole.
        removal: Options of the removal of redundant files.
        quarantine_days: Days that removed files stay in quarantine before a later run deletes them; ``None`` to keep
            them.
        leaves_restored: Whether files that an undo restored stay, as in the runs of a daemon that nobody asked for.
        state_directory: Folder of the plans and journals of runs, used by one run at a time. Without it only dry runs
            are possible.
    """

    selector: Selector = field(default_factory=lambda: Selector(EXTENSIONS | readable_suffixes()))
    analyse: AnalyseOptions = field(default_factory=AnalyseOptions)
    find: FindOptions = field(default_factory=FindOptions)
    inspect: bool = True
    rules: tuple[Rule, ...] = tuple(RULES[name] for name in DEFAULT_RULES)
    identical_rules: tuple[Rule, ...] = parse_identical_rules(DEFAULT_IDENTICAL_RULES)
    units: bool = True
    series: bool = True
    removal: RemovalOptions = field(default_factory=RemovalOptions)
    quarantine_days: float | None = QUARANTINE_DAYS
    leaves_restored: bool = False
    state_directory: Path | None = None

    @property
    def walked(self) -> Selector:
        """The selection of this run: files in the target directory of removed duplicates must not be found again."""
        target = self.removal.target_directory
        if target is None:
            return self.selector
        return replace(self.selector, set_apart=self.selector.set_apart | {os.fsencode(os.path.normpath(target))})


Confirm: TypeAlias = Callable[[Plan, Sequence[RankedGroup]], bool]
"""Function that returns whether to carry out a plan; ``False`` makes the run a dry run."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """The dependencies of a run.

    Attributes:
        store: The index.
        options: Options of the run.
        observer: Receives the events, from several threads.
        should_stop: Returns whether to stop, called often.
        confirm: Returns whether to remove files, called once before the first removal; ``None`` to remove them
            unasked.
    """

    store: Store
    options: Options
    observer: Observer
    should_stop: Callable[[], bool]
    confirm: Confirm | None = None
