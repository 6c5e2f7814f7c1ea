"""Results of runs, made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.match import Evidence, Match, MatchClass, Orientation, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import Footage, IndexEntry, PhotoFacts, Versions
from py_image_dedup.model.plan import QUARANTINE_NAME, Action, ActionKind, Outcome, OutcomeStatus, Quarantined
from py_image_dedup.model.result import PhaseSummary, RunResult

ROOT = Path("/home/ann/Pictures")
VERSIONS = Versions(media=0, signature=0)
CAPTURED = datetime(2020, 1, 2, 3, 4, 5)  # noqa: DTZ001 - cameras write naive times
TIME = 1_700_000_000_123_456_789


def entry(
    path: str, size: int = 3_250_000, width: int = 4000, height: int = 3000, failure: Failure | None = None
) -> IndexEntry:
    stat = FileStat(ROOT / path, size, TIME, 42, len(path))
    facts = PhotoFacts("JPEG", width, height, 31, CAPTURED, "Nokia 3", has_gps=True)
    return IndexEntry(stat, VERSIONS, digest=bytes(range(32)), facts=facts, failure=failure)


def film(path: str) -> IndexEntry:
    """A video of 75 seconds."""
    found = entry(path, width=1920, height=1080)
    footage = Footage(75.04, "h264", 29.97, ("aac, stereo, deu", "ac3, 6 channels"))
    return replace(found, facts=PhotoFacts("MP4", 1920, 1080, 3, frames=2249, footage=footage))


def outcome(
    number: int,
    redundant: Redundant,
    kind: ActionKind,
    status: OutcomeStatus,
    target: Path | None = None,
    message: str = "",
) -> Outcome:
    source, keeper = redundant.match.right, redundant.match.left
    action = Action(
        number=number,
        group=1,
        kind=kind,
        match_class=redundant.match.match_class,
        source=source.stat,
        source_digest=source.digest or b"",
        keeper=keeper.stat,
        keeper_digest=keeper.digest or b"",
        root=ROOT,
        target=target,
    )
    return Outcome(action, status, target if status is OutcomeStatus.DONE else None, message)


KEEPER = entry("2019/IMG_0001.jpg")
IDENTICAL = Redundant(
    Match(KEEPER, entry("copies/IMG_0001 [1].jpg"), MatchClass.IDENTICAL),
    Reason("shorter-folder-path", "24 characters", "26 characters", "shorter folder (24 characters, the other has 26)"),
)
TURNED = Redundant(
    Match(
        KEEPER,
        entry("wh\udcffats\x1b[31m\napp/x.jpg", 310_000, 1200, 1600),
        MatchClass.SIMILAR,
        0.0712,
        Orientation.ROTATE_90,
    ),
    Reason("higher-pixel-count", "4000 x 3000", "1200 x 1600"),
)
PIXELS = Redundant(
    Match(KEEPER, entry("kept/same.png", 9_000_000), MatchClass.SAME_PIXELS), Reason("path", "2019/...", "kept/...")
)
GROUP = RankedGroup(KEEPER, (IDENTICAL, TURNED, PIXELS))
TRUNCATED = tuple(
    Failure(ROOT / f"bad{number}.jpg", Phase.ANALYSE, FailureReason.TRUNCATED, f"it ends after {number} bytes")
    for number in range(8)
)
CLOSED = Failure(ROOT / "closed", Phase.COUNT, FailureReason.NO_PERMISSION, f"{ROOT / 'closed'} cannot be opened")
PHASES = (
    PhaseSummary(Phase.COUNT, 0.02, {"files": 1234}),
    PhaseSummary(Phase.ANALYSE, 65.0, {"analysed": 12}),
)


def result(
    *statuses: OutcomeStatus,
    dry_run: bool = True,
    groups: tuple[RankedGroup, ...] = (GROUP,),
    failures: tuple[Failure, ...] = (*TRUNCATED, CLOSED),
    messages: tuple[str, ...] = ("", ""),
    interrupted: bool = False,
) -> RunResult:
    """A run over ``GROUP``, of which the first two redundant files have the outcomes that are asked for."""
    plan = (
        (IDENTICAL, ActionKind.DELETE, None),
        (TURNED, ActionKind.QUARANTINE, ROOT / ".quarantine" / "run" / "x.jpg"),
    )
    return RunResult(
        run="20250102T030405-ab12",
        started=datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC),
        dry_run=dry_run,
        roots=(ROOT,),
        max_distance=0.1,
        groups=groups,
        outcomes=tuple(
            outcome(number, redundant, kind, status, target, message)
            for number, ((redundant, kind, target), status, message) in enumerate(
                zip(plan, statuses, messages, strict=False), start=1
            )
        ),
        failures=failures,
        phases=PHASES,
        files=1234,
        interrupted=interrupted,
    )


PARTIAL = Match(
    KEEPER, entry("crop.jpg"), MatchClass.PARTIAL, 0.4, Orientation.UPRIGHT, Evidence(("crop: 43 % of it",), 31, 0.01)
)

EXPIRED = replace(
    outcome(3, TURNED, ActionKind.EXPIRE, OutcomeStatus.PLANNED).action,
    group=0,
    source=entry(f"{QUARANTINE_NAME}/old/b/x.jpg", 310_000).stat,
    quarantined=Quarantined("old", 1, ROOT / "b" / "x.jpg", datetime(2024, 11, 2, 12, tzinfo=UTC)),
)
"""An action that deletes a file from the quarantine."""
