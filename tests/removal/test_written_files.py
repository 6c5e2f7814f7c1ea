"""Plans, journals and manifests that an earlier version wrote are read as they were meant."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from py_image_dedup.model.file import FileStat
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.plan import QUARANTINE_NAME, Action, ActionKind, OutcomeStatus, Plan, Quarantined
from py_image_dedup.removal.filesystem import FileMetadata
from py_image_dedup.removal.journal import JOURNAL_NAME, State, read_history
from py_image_dedup.removal.quarantine import MANIFEST_NAME, read_manifest
from py_image_dedup.removal.serialization import load_plan

FILES = Path(__file__).parent / "files"
PHOTOS = Path("/photos")
SAFE = Path(os.fsdecode(b"/saf\xe9"))
QUARANTINED = PHOTOS / QUARANTINE_NAME / "old" / os.fsdecode(b"caf\xe9 [1].jpg")
DEVICE = 2**63 + 5
OTHER, DIGEST = bytes(range(32)), bytes(range(1, 33))
KEEPER = FileStat(PHOTOS / "keeper.jpg", 50, 1_600_000_000_123_456_789, DEVICE, 11)
METADATA = FileMetadata(0o640, 1000, -1, 5, 6, (("user.tag", b"\0\xff"),))
ACTIONS = (
    Action(
        number=1,
        group=1,
        kind=ActionKind.QUARANTINE,
        match_class=MatchClass.SIMILAR,
        source=FileStat(PHOTOS / os.fsdecode(b"caf\xe9 [1].jpg"), 40, 1_600_000_000_000_000_001, DEVICE, 12),
        source_digest=OTHER,
        keeper=KEEPER,
        keeper_digest=DIGEST,
        root=PHOTOS,
        target=QUARANTINED,
    ),
    Action(
        number=2,
        group=1,
        kind=ActionKind.DELETE,
        match_class=MatchClass.IDENTICAL,
        source=FileStat(PHOTOS / "b" / "ä.jpg", 50, -5, DEVICE, 13),
        source_digest=DIGEST,
        keeper=KEEPER,
        keeper_digest=DIGEST,
        root=PHOTOS,
    ),
    Action(
        number=3,
        group=0,
        kind=ActionKind.EXPIRE,
        match_class=MatchClass.SIMILAR,
        source=FileStat(PHOTOS / QUARANTINE_NAME / "older" / "c.jpg", 40, 7, DEVICE, 14),
        source_digest=OTHER,
        keeper=KEEPER,
        keeper_digest=DIGEST,
        root=PHOTOS,
        quarantined=Quarantined(
            "older", 4, PHOTOS / "c.jpg", datetime(2025, 12, 1, 2, 3, 4, microsecond=5000, tzinfo=UTC)
        ),
    ),
)


def test_a_plan_of_an_earlier_version_is_read() -> None:
    assert load_plan(FILES / "plan.json") == Plan("old", (PHOTOS, SAFE), ACTIONS, prune=True, protected=(SAFE,))


def test_a_journal_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    shutil.copy(FILES / "journal.jsonl", tmp_path / JOURNAL_NAME)
    history = read_history(tmp_path)
    assert (history.run, history.planned, history.damaged) == ("old", 3, 0)
    assert history.trusted_roots == (PHOTOS, SAFE)
    assert history.folders == {PHOTOS / "b": METADATA}
    assert history.pruned == {PHOTOS / "b": METADATA}
    assert history.new_folders == {PHOTOS / QUARANTINE_NAME, PHOTOS / QUARANTINE_NAME / "old"}
    assert history.outcomes == {1: OutcomeStatus.DONE, 2: OutcomeStatus.FAILED}
    moved, deleted = history.entries[1], history.entries[2]
    assert (moved.action, moved.metadata, moved.state, moved.location) == (
        ACTIONS[0],
        METADATA,
        State.UNDOING,
        QUARANTINED,
    )
    assert (deleted.action, deleted.state) == (ACTIONS[1], State.SKIPPED)
    assert deleted.message == "cannot remove /photos/\udce9.jpg"
    assert deleted.finished_at is not None
    assert deleted.finished_at.date() == datetime(2026, 11, 28, tzinfo=UTC).date()


def test_a_manifest_of_an_earlier_version_is_read_where_its_root_is_now(tmp_path: Path) -> None:
    folder = tmp_path / QUARANTINE_NAME / "old"
    folder.mkdir(parents=True)
    shutil.copy(FILES / "manifest.jsonl", folder / MANIFEST_NAME)
    manifest = read_manifest(tmp_path, folder)
    (entry,) = manifest.entries.values()
    assert manifest.run == "old"
    assert entry.location == folder / QUARANTINED.name
    assert entry.action.source.path == tmp_path / ACTIONS[0].source.path.name
    assert (entry.action.source_digest, entry.metadata, entry.state) == (OTHER, METADATA, State.DONE)


@pytest.mark.parametrize("damage", ['"kind":"outcome"', '"status":"done"', '"number":1'])
def test_a_line_that_is_not_of_the_format_counts_as_damaged(tmp_path: Path, damage: str) -> None:
    lines = (FILES / "journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    outcome = next(line for line in lines if '"outcome"' in line)
    broken = outcome.replace(damage, damage.split(":")[0] + ":[]", 1)
    (tmp_path / JOURNAL_NAME).write_text("".join([lines[0], broken, *lines[1:]]), encoding="utf-8")
    assert broken != outcome
    assert read_history(tmp_path).damaged == 1
