"""The records of ``result.json``: one type for each JSON object of the format, with its constraints.

``report.result_json`` converts results to records and back; ``make tables`` derives ``docs/schemas/result.schema.json``
from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from py_image_dedup.model.failure import FailureReason, Phase
from py_image_dedup.model.inspection import Inspection
from py_image_dedup.model.match import MatchClass, Orientation
from py_image_dedup.model.photo import Footage
from py_image_dedup.model.plan import ActionKind, OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.model.series import SeriesKind
from py_image_dedup.model.unit import PartKind
from py_image_dedup.removal.serialization import (
    Digest,
    Natural,
    Number,
    PathRecord,
    QuarantinedRecord,
    Record,
    SidecarRecord,
    StatRecord,
    Text,
    Time,
)

Counts: TypeAlias = Mapping[str, Natural]
Distance: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0)]
Label: TypeAlias = Annotated[str, Meta(extra_json_schema={"enum": [each.label for each in Orientation]})]


class FailureRecord(PathRecord, frozen=True, kw_only=True):
    """A file or folder that could not be processed.

    Attributes:
        phase: The stage in which it failed.
        reason: The kind of failure.
        message: The cause, as a text for the user.
    """

    phase: Phase
    reason: FailureReason
    message: Text


class AnalysedFileRecord(StatRecord, frozen=True, kw_only=True):
    """A file as it was read.

    Attributes:
        digest: BLAKE3 digest of the bytes, in hexadecimal; null if it could not be read.
    """

    digest: Digest | None

    def to_digest(self) -> bytes | None:
        """Return the digest of the file."""
        return bytes.fromhex(self.digest) if self.digest else None


class EntryRecord(AnalysedFileRecord, frozen=True, kw_only=True):
    """A file and its properties.

    Attributes:
        format: Format by content, as Pillow names it; null if the file could not be decoded at all.
        width: Width in pixels as shown, with the EXIF orientation applied.
        height: Height in pixels as shown.
        exif_fields: Number of EXIF tags.
        captured: Time of exposure in the camera's local time, without a time zone.
        camera: Maker and model.
        has_gps: Whether a GPS position is stored.
        frames: Number of frames; more than 1 for an animation.
        embedded: Names of what is embedded beside the picture, such as "gain map".
        failure: The failure for which it could not be decoded completely.
        video: Length, codec, frame rate and audio tracks of a video.
    """

    format: str | None
    width: Number | None
    height: Number | None
    exif_fields: Natural | None
    captured: datetime | None
    camera: str | None
    has_gps: bool | None
    frames: Number | None
    embedded: tuple[Text, ...] = ()
    failure: FailureRecord | None
    video: Footage | UnsetType = UNSET


class ReasonRecord(Record, frozen=True, kw_only=True):
    """The reason for which a file is preferred to another one.

    Attributes:
        rule: The first rule that decided; `path` if all rules were ties.
        keeper: The compared value of the keeper, as text for the user.
        redundant: The compared value of the other file.
        sentence: Completes "Kept: ...", such as "larger (2.7 MiB, the other has 2.1 MiB)".
    """

    rule: str
    keeper: str
    redundant: str
    sentence: str = ""


class EvidenceRecord(Record, frozen=True, kw_only=True):
    """The evidence for a match, from the alignment of two pictures.

    Attributes:
        words: Evidence for the user.
        inliers: Number of local features that agree on one alignment.
        bad_share: Share of the blocks of the overlap whose pixels differ.
        coverage_left: Share of the keeper that the other picture shows.
        coverage_right: Share of the other picture that the keeper shows.
    """

    words: tuple[str, ...]
    inliers: Natural
    bad_share: float
    coverage_left: float
    coverage_right: float


class KeeperRecord(EntryRecord, frozen=True, kw_only=True):
    """The file of a group that stays.

    Attributes:
        reason: The reason for which it is preferred to the best of the redundant files.
    """

    reason: ReasonRecord


class RedundantRecord(EntryRecord, frozen=True, kw_only=True):
    """A redundant file, its match with the keeper, and what is done with it.

    Attributes:
        match_class: Class of the match.
        distance: Distance of the signatures; 0 for equal ones.
        orientation: The orientation that makes the keeper look like this file.
        evidence: Evidence of the geometric verification, if there was one.
        inspection: Result of the comparison in full, if there was one.
        reason: The reason for which the keeper is preferred.
        action: What is done with it; null if nothing is.
        action_number: The number of the action in the plan.
        root: The root that the file was found under.
        root_bytes: Its bytes in base64, if it is not UTF-8.
        target: The path afterwards, actual or planned.
        target_bytes: Its bytes in base64, if it is not UTF-8.
        outcome: The outcome of the action; `planned` in a dry run.
        message: The reason for which it was skipped or failed.
        unit: The number of the photo of several files that it is a part of, in the plan.
        parts: With `unit`, the number of actions of that photo.
        sidecar: The metadata that the keeper's XMP sidecar gets.
    """

    match_class: MatchClass = msgspec.field(name="class")
    distance: Distance
    orientation: Label
    evidence: EvidenceRecord | None
    inspection: Inspection | None = None
    reason: ReasonRecord
    action: ActionKind | None
    action_number: Number | None
    root: Text | None
    root_bytes: bytes | UnsetType = UNSET
    target: Text | None
    target_bytes: bytes | UnsetType = UNSET
    outcome: OutcomeStatus | None
    message: str | None
    unit: Number | UnsetType = UNSET
    parts: Number | UnsetType = UNSET
    sidecar: SidecarRecord | UnsetType = UNSET


class GroupRecord(Record, frozen=True, kw_only=True):
    """A keeper and the files that match it directly.

    Attributes:
        keeper: The file that stays.
        redundant: The redundant files, best first.
    """

    keeper: KeeperRecord
    redundant: Annotated[tuple[RedundantRecord, ...], Meta(min_length=1)]


class ReportedRecord(Record, frozen=True, kw_only=True):
    """A match between files that both stay.

    Attributes:
        left: One file; for `partial` the complete picture.
        right: The other file.
        match_class: Class of the match.
        distance: Distance of the signatures; 0 for equal ones.
        orientation: The orientation that makes the left file look like the right one.
        evidence: Evidence of the geometric verification, if there was one.
        inspection: Result of the comparison in full, if there was one.
    """

    left: EntryRecord
    right: EntryRecord
    match_class: MatchClass = msgspec.field(name="class")
    distance: Distance
    orientation: Label
    evidence: EvidenceRecord | None
    inspection: Inspection | None = None


class OtherOutcomeRecord(Record, frozen=True, kw_only=True):
    """An action on a file that is in no group, as when a saved plan is carried out.

    Attributes:
        source: The redundant file.
        keeper: The file that stays.
        match_class: Class of the match.
        group: The number of the group; 0 for `expire`.
        action: What is done.
        action_number: The number of the action in the plan.
        root: The root that the file was found under.
        root_bytes: Its bytes in base64, if it is not UTF-8.
        target: The path afterwards, actual or planned.
        target_bytes: Its bytes in base64, if it is not UTF-8.
        outcome: The outcome of the action; `planned` in a dry run.
        message: The reason for which it was skipped or failed.
        unit: The number of the photo of several files that it is a part of, in the plan.
        parts: With `unit`, the number of actions of that photo.
        sidecar: The metadata that the keeper's XMP sidecar gets.
        quarantined: The origin of the file in quarantine, for `expire`.
    """

    source: AnalysedFileRecord
    keeper: AnalysedFileRecord
    match_class: MatchClass = msgspec.field(name="class")
    group: Natural
    action: ActionKind
    action_number: Number
    root: Text
    root_bytes: bytes | UnsetType = UNSET
    target: Text | None
    target_bytes: bytes | UnsetType = UNSET
    outcome: OutcomeStatus
    message: str | None
    unit: Number | UnsetType = UNSET
    parts: Number | UnsetType = UNSET
    sidecar: SidecarRecord | UnsetType = UNSET
    quarantined: QuarantinedRecord | UnsetType = UNSET


class KeptRecord(PathRecord, frozen=True, kw_only=True):
    """A file whose quarantine expired and that stays nevertheless.

    Attributes:
        reason: The reason for which it stays.
    """

    reason: str


class TotalsRecord(Record, frozen=True, kw_only=True):
    """The totals of a run.

    Attributes:
        files: Number of files in the run.
        groups: Number of groups.
        redundant: Number of redundant files in all groups.
        bytes_redundant: Size of the redundant files, in bytes.
        bytes_reclaimable: Size of the files that were removed, or would be in a real run, in bytes.
        classes: Number of redundant files by match class.
        outcomes: Number of actions by outcome.
        failures: Number of files that could not be processed, by reason.
        seconds: Wall time of all phases, in seconds.
    """

    files: Natural
    groups: Natural
    redundant: Natural
    bytes_redundant: Natural
    bytes_reclaimable: Natural
    classes: Counts
    outcomes: Counts
    failures: Counts
    seconds: Seconds


_REMOVABLE = (OutcomeStatus.PLANNED, OutcomeStatus.DONE)


def totals_of(result: RunResult) -> TotalsRecord:
    """Return the totals of a run."""
    classes: Counter[str] = Counter()
    size = 0
    for group in result.groups:  # one after another: a list of all redundant files costs memory
        classes.update(each.match.match_class.value for each in group.redundant)
        size += sum(each.entry.stat.size for each in group.redundant)
    return TotalsRecord(
        files=result.files,
        groups=len(result.groups),
        redundant=classes.total(),
        bytes_redundant=size,
        bytes_reclaimable=sum(each.action.source.size for each in result.outcomes if each.status in _REMOVABLE),
        classes=classes,
        outcomes=Counter(each.status.value for each in result.outcomes),
        failures=Counter(each.reason.value for each in result.failures),
        seconds=sum(each.seconds for each in result.phases),
    )


class StageRecord(Record, frozen=True, kw_only=True):
    """The figures of one stage.

    Attributes:
        name: The stage.
        seconds: Wall time, in seconds.
        counts: Figures by name.
    """

    name: Phase
    seconds: Seconds
    counts: Counts


class PartRecord(PathRecord, frozen=True, kw_only=True):
    """A file of a photo of several files.

    Attributes:
        kind: What it is.
    """

    kind: PartKind


class UnitRecord(Record, frozen=True, kw_only=True):
    """A photo that consists of several files.

    Attributes:
        stem: What the names of the files begin with.
        parts: The files; the first one leads.
    """

    stem: str
    parts: Annotated[tuple[PartRecord, ...], Meta(min_length=2)]


class SeriesRecord(Record, frozen=True, kw_only=True):
    """The shots that a camera took in one go, which are no copies of each other.

    Attributes:
        kind: What it is.
        evidence: How it was recognised, as a text for the user.
        shots: The files of each shot, in the order of the shots. Files of one shot may be a RAW photo and its JPEG.
    """

    kind: SeriesKind
    evidence: Text
    shots: Annotated[tuple[Annotated[tuple[PathRecord, ...], Meta(min_length=1)], ...], Meta(min_length=2)]


class UnreadRecord(Record, frozen=True, kw_only=True):
    """Files of one kind that were found and not read.

    Attributes:
        kind: One file of it, as a noun: "video".
        reason: Why they are not read, or what to install.
        paths: The files, in the order of their paths.
        paths_bytes: The bytes of all of them in base64, if one of them is not UTF-8.
    """

    kind: Text
    reason: Text
    paths: tuple[Text, ...]
    paths_bytes: tuple[bytes, ...] | UnsetType = UNSET


class ResultRecord(Record, frozen=True, kw_only=True):
    """What a run found and did. Times are in seconds, sizes in bytes.

    Attributes:
        version: Version of the format.
        run: The name of the run, sortable by time.
        started: Start time.
        dry_run: Whether no file was changed.
        roots: The folders that were searched.
        roots_bytes: The bytes of all roots in base64, if one of them is not UTF-8.
        max_distance: Largest distance of signatures that was searched.
        scope: The scope within which files were compared; empty if nothing was compared.
        across_scopes: Number of sets of copies that the scope kept apart.
        interrupted: Whether the user stopped the run; its work so far is kept.
        error: Cause of the failure, if the run failed.
        groups: The groups, in the order of their keepers' paths; no file is in two.
        reported: Matches between files that both stay.
        other_outcomes: Actions on files that are in no group.
        failures: Files and folders that could not be processed; the run went on without them.
        units: Photos of several files, of those in groups and among reported matches.
        series: Bursts and exposure brackets of which a picture matched another one.
        unread: Files that were found and not read, such as videos, one object per kind.
        kept_in_quarantine: Files whose quarantine expired and that stay.
        pruned_folders: Emptied folders that were removed.
        pruned_folders_bytes: The bytes of all of them in base64, if one of them is not UTF-8.
        totals: The totals of the run.
        phases: The stages, in the order of execution.
    """

    version: Literal[1]
    run: str
    started: Time
    dry_run: bool
    roots: tuple[Text, ...]
    roots_bytes: tuple[bytes, ...] | UnsetType = UNSET
    max_distance: Distance
    scope: Annotated[str, Meta(extra_json_schema={"enum": ["", "all", "root", "folder", "against"]})] = ""
    across_scopes: Natural = 0
    interrupted: bool
    error: str | None
    groups: tuple[GroupRecord, ...]
    reported: tuple[ReportedRecord, ...]
    other_outcomes: tuple[OtherOutcomeRecord, ...]
    failures: tuple[FailureRecord, ...]
    units: tuple[UnitRecord, ...] = ()
    series: tuple[SeriesRecord, ...] = ()
    unread: tuple[UnreadRecord, ...] = ()
    kept_in_quarantine: tuple[KeptRecord, ...] = ()
    pruned_folders: tuple[Text, ...]
    pruned_folders_bytes: tuple[bytes, ...] | UnsetType = UNSET
    totals: TotalsRecord
    phases: tuple[StageRecord, ...]
