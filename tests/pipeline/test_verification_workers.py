"""Pairs are verified where it is quickest, and the verdicts are the same everywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageOps

from py_image_dedup.api import Deduplicator, Options
from py_image_dedup.features.extract import extract, pack, unpack
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import MatchClass, Verdict
from py_image_dedup.pipeline import verification
from py_image_dedup.pipeline.options import FindOptions
from py_image_dedup.pipeline.verification import verification_method
from py_image_dedup.pipeline.verification_workers import InProcesses, InThreads
from py_image_dedup.store.sqlite.store import SqliteStore
from py_image_dedup.verification.picture import Picture
from py_image_dedup.verification.verify import verify
from tests.support.photographs import photograph
from tests.verification.edited import original, seen

VERIFIER = verification_method(FindOptions())
PACKED = {
    0: pack(original(0).features),
    1: pack(original(1).features),
    10: pack(seen(photograph(0).resize((240, 180)), 60).features),
    11: pack(seen(ImageOps.mirror(photograph(1))).features),
    12: pack(seen(photograph(1).crop((90, 70, 390, 300))).features),
}
PAIRS = [(0, 10), (0, 1), (1, 11), (1, 12), (0, 12), (11, 12), (0, 99)]


def alone() -> list[Verdict | None]:
    pictures = {number: Picture(unpack(features)) for number, features in PACKED.items()}
    return [
        verify(pictures[left], pictures[right]) if right in pictures else None
        for left, right in PAIRS
    ]  # fmt: skip


@pytest.fixture
def processes() -> Iterator[InProcesses]:
    verifying = InProcesses(VERIFIER, 2)
    yield verifying
    verifying.close()


def pids(verifying: InProcesses) -> list[int]:
    return [process._worker.process.pid for process in verifying._processes if process._worker is not None]


def test_threads_and_processes_come_to_the_same_verdicts_in_the_order_of_the_pairs(processes: InProcesses) -> None:
    expected = alone()
    classes = [None if verdict is None else verdict.match_class for verdict in expected]
    similar, partial = MatchClass.SIMILAR, MatchClass.PARTIAL
    assert classes == [similar, None, similar, partial, None, partial, None]
    threads = InThreads(VERIFIER, 2)
    assert threads.begin(PAIRS, PACKED)() == expected
    threads.close()
    assert processes.begin(PAIRS * 40, PACKED)() == expected * 40


def test_several_lots_may_be_begun_before_the_first_is_asked_for(processes: InProcesses) -> None:
    expected = alone()
    first, second = processes.begin(PAIRS, PACKED), processes.begin(PAIRS[::-1], PACKED)
    assert second() == expected[::-1]
    assert first() == expected


def test_what_a_killed_process_would_have_answered_is_verified_here(processes: InProcesses) -> None:
    expected = alone()
    assert processes.begin(PAIRS, PACKED)() == expected
    for pid in pids(processes):
        os.kill(pid, signal.SIGKILL)
    assert processes.begin(PAIRS * 20, PACKED)() == expected * 20


@pytest.mark.parametrize("command", [("/nonexistent/program",), (sys.executable, "-c", "raise SystemExit(1)")])
def test_without_a_process_that_starts_everything_is_verified_here(command: tuple[str, ...]) -> None:
    verifying = InProcesses(replace(VERIFIER, command=command), 2)
    assert verifying.begin(PAIRS, PACKED)() == alone()
    verifying.close()


def test_damage_in_the_index_is_told_as_it_is_without_processes(processes: InProcesses) -> None:
    features = replace(original(1).features, thumbnail=b"no picture")
    with pytest.raises(ValueError, match="not a thumbnail"):
        processes.begin([(0, 1), (1, 11)], PACKED | {1: pack(features)})()
    assert processes.begin(PAIRS, PACKED)() == alone()


def test_no_process_is_left_when_verification_is_over(processes: InProcesses) -> None:
    processes.begin(PAIRS, PACKED)()
    started = pids(processes)
    assert len(started) == 2
    processes.close()
    processes.close()
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")
def test_a_process_ends_with_a_killed_parent() -> None:
    code = """
import time
from py_image_dedup.pipeline.verification import verification_method
from py_image_dedup.pipeline.options import FindOptions
from py_image_dedup.pipeline.verification_workers import InProcesses
verifying = InProcesses(verification_method(FindOptions()), 1)
print(verifying._processes[0]._worker.process.pid, verifying.begin([(0, 1)], {})(), flush=True)
time.sleep(60)
"""
    with subprocess.Popen((sys.executable, "-c", code), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline().split()[0])
        state = Path(f"/proc/{child}/stat")
        assert state.exists()
        parent.kill()
    deadline = time.monotonic() + 10
    while state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_a_run_with_many_new_pictures_finds_with_processes_what_it_finds_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(3):
        photograph(seed).save(folder / f"{seed}.jpg", quality=90)
        photograph(seed).resize((240, 180)).save(folder / f"{seed} small.jpg", quality=70)
        photograph(seed).crop((90, 70, 390, 300)).save(folder / f"{seed} crop.jpg", quality=80)

    def run(name: str, many: int) -> list[tuple[object, ...]]:
        monkeypatch.setattr(verification, "_MANY", many)
        monkeypatch.setattr(verification, "_CONTENTS_PER_STEP", 2)
        with SqliteStore(tmp_path / name) as store:
            result = Deduplicator(store, Options(state_directory=tmp_path)).deduplicate([Root(folder)], dry_run=True)
        assert result.error is None
        redundant = [each.match for group in result.groups for each in group.redundant]
        return [
            (match.left.stat.path, match.right.stat.path, match.match_class, match.orientation, match.evidence)
            for match in (*redundant, *result.reported)
        ]

    started: list[int] = []
    real = InProcesses

    def counting(*arguments: object) -> InProcesses:
        started.append(1)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(verification, "InProcesses", counting)
    there, here = run("one.sqlite3", 1), run("two.sqlite3", 1000)
    assert there == here
    assert len(there) == 6
    assert started == [1]


def test_a_picture_without_features_matches_nothing(processes: InProcesses) -> None:
    flat = pack(extract(np.full((120, 160), 128, dtype=np.uint8)))
    assert processes.begin([(0, 1), (1, 0)], {0: flat, 1: PACKED[1]})() == [None, None]
