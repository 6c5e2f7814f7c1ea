"""Files become entries: once, whatever is wrong with some of them, and kept whatever happens."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from blake3 import blake3

from py_image_dedup.media.decoder import DecodedPicture, Decoder, WorkerClient
from py_image_dedup.media.limits import Limits, MemoryBudget
from py_image_dedup.media.opened_file import OpenedFile
from py_image_dedup.model.events import Event, FileAnalysed, FileFailed, PhaseAdvanced, ignore
from py_image_dedup.model.failure import FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.pipeline import analyse as module
from py_image_dedup.pipeline.analyse import Analysed, AnalyseOptions, analyse
from py_image_dedup.store.base import StoreError
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.pictures import picture, write


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "index.sqlite3") as index:
        yield index


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for seed in range(6):
        write(folder / f"{seed}.jpg", picture(seed))
    write(folder / "graphic.png", picture(10))
    write(folder / "web.webp", picture(11))
    return folder


def stat_of(path: Path) -> FileStat:
    seen = path.lstat()
    return FileStat(path, seen.st_size, seen.st_mtime_ns, seen.st_dev, seen.st_ino)


def stats(folder: Path) -> list[FileStat]:
    return [stat_of(path) for path in sorted(folder.rglob("*")) if path.is_file()]


def run(
    stale: Sequence[FileStat],
    store: SqliteStore,
    *,
    threads: int = 2,
    limits: Limits | None = None,
    observer: Callable[[Event], None] = ignore,
    should_stop: Callable[[], bool] = lambda: False,
    decoder: Callable[[Limits, MemoryBudget], Decoder] = Decoder,
) -> Analysed:
    options = AnalyseOptions(threads=threads, limits=limits or Limits())
    return analyse(stale, store, options, observer=observer, should_stop=should_stop, decoder=decoder)


def entries(store: SqliteStore) -> dict[str, IndexEntry]:
    return {entry.stat.path.name: entry for entry in store.entries(None)}


def test_each_file_becomes_an_entry(library: Path, store: SqliteStore) -> None:
    done = run(stats(library), store)
    found = entries(store)
    assert found.keys() == {path.name for path in library.iterdir()}
    for path in library.iterdir():
        entry = found[path.name]
        assert entry.stat == stat_of(path)
        assert entry.digest == blake3(path.read_bytes()).digest()
        assert entry.versions == AnalyseOptions().versions
        assert entry.facts is not None
        assert (entry.facts.width, entry.facts.height) == (320, 240)
        assert entry.signature is not None
        assert entry.decoded_whole
    assert found["web.webp"].facts is not None
    assert found["web.webp"].facts.format == "WEBP"
    assert done.failures == ()
    assert done.summary.phase is Phase.ANALYSE
    size = sum(path.stat().st_size for path in library.iterdir())
    assert done.summary.counts == {"analysed": 8, "known": 0, "failed": 0, "bytes": size}


def test_the_order_and_the_threads_do_not_matter(library: Path, store: SqliteStore, tmp_path: Path) -> None:
    write(library / "copy.jpg", picture(0))
    (library / "broken.jpg").write_bytes((library / "1.jpg").read_bytes()[:2000])
    stale = stats(library)
    first = run(stale, store, threads=1)
    random.Random(3).shuffle(stale)
    with SqliteStore(tmp_path / "other.sqlite3") as other:
        second = run(stale, other, threads=4)
        assert entries(other) == entries(store)
    assert first.failures == second.failures
    assert first.summary.counts == second.summary.counts


def test_equal_files_are_decoded_once(library: Path, store: SqliteStore) -> None:
    for number in range(20):
        (library / f"copy {number}.webp").write_bytes((library / "web.webp").read_bytes())
    events: list[Event] = []
    done = run(stats(library), store, observer=events.append)
    assert done.summary.counts["analysed"] == 8
    assert done.summary.counts["known"] == 20
    assert sum(event.decoded for event in events if isinstance(event, FileAnalysed)) == 8
    found = entries(store)
    copy, original = found["copy 7.webp"], found["web.webp"]
    assert replace(copy, stat=original.stat) == original
    assert copy.stat == stat_of(library / "copy 7.webp")


def test_content_that_the_index_knows_is_not_decoded_under_a_new_name(library: Path, store: SqliteStore) -> None:
    run(stats(library), store)
    known = store.get(library / "3.jpg")
    assert known is not None
    store.put([replace(known, pixel_digest=b"p" * 32)])
    (library / "3.jpg").rename(library / "renamed.jpg")
    done = run([stat_of(library / "renamed.jpg")], store)
    assert done.summary.counts["analysed"] == 0
    assert done.summary.counts["known"] == 1
    found = store.get(library / "renamed.jpg")
    assert found is not None
    assert found.pixel_digest == b"p" * 32
    assert found.signature == known.signature


def test_content_known_by_an_older_method_is_decoded_anew(library: Path, store: SqliteStore) -> None:
    run(stats(library), store)
    old = [replace(entry, versions=Versions(media=0, signature=0)) for entry in store.entries(None)]
    store.put(old)
    done = run(stats(library), store)
    assert done.summary.counts["analysed"] == 8
    assert {entry.versions for entry in store.entries(None)} == {AnalyseOptions().versions}


def test_a_broken_file_is_kept_with_its_digest_and_reason(library: Path, store: SqliteStore) -> None:
    for name in ("broken.jpg", "also broken.jpg"):
        (library / name).write_bytes((library / "1.jpg").read_bytes()[:2000])
    (library / "empty.jpg").touch()
    (library / "notes.jpg").write_text("no picture")
    events: list[Event] = []
    done = run(stats(library), store, observer=events.append)
    reasons = {failure.path.name: failure.reason for failure in done.failures}
    assert reasons == {
        "also broken.jpg": FailureReason.TRUNCATED,
        "broken.jpg": FailureReason.TRUNCATED,
        "empty.jpg": FailureReason.EMPTY,
        "notes.jpg": FailureReason.NOT_AN_IMAGE,
    }
    found = entries(store)
    assert found["broken.jpg"].digest == found["also broken.jpg"].digest == blake3(
        (library / "broken.jpg").read_bytes()
    ).digest()  # fmt: skip
    assert found["broken.jpg"].failure is not None
    assert found["broken.jpg"].failure.path == library / "broken.jpg"
    assert not found["broken.jpg"].decoded_whole
    assert found["empty.jpg"].digest is None, "empty files are no copies of each other"
    assert {event.failure for event in events if isinstance(event, FileFailed)} == set(done.failures)
    assert sum(event.steps for event in events if isinstance(event, PhaseAdvanced)) == 12


def test_a_failure_that_may_pass_is_reported_and_not_kept(library: Path, store: SqliteStore) -> None:
    stale = stats(library)
    (library / "0.jpg").unlink()
    (library / "1.jpg").unlink()
    (library / "1.jpg").symlink_to(library / "2.jpg")
    done = run(stale, store)
    assert {failure.path.name: failure.reason for failure in done.failures} == {
        "0.jpg": FailureReason.VANISHED,
        "1.jpg": FailureReason.CHANGED,
    }
    assert not {"0.jpg", "1.jpg"} & entries(store).keys()


def test_names_that_are_not_utf_8_are_analysed(library: Path, store: SqliteStore) -> None:
    strange = Path(os.fsdecode(os.fsencode(library) + b"/caf\xe9.jpg"))
    write(library / "0.jpg", picture(0)).rename(strange)
    run(stats(library), store)
    assert store.get(strange) is not None


def test_stopping_keeps_what_is_done_and_leaves_the_rest(library: Path, store: SqliteStore) -> None:
    for seed in range(100, 160):
        write(library / f"{seed}.jpg", picture(seed, 64, 48))
    seen: list[Event] = []
    done = run(stats(library), store, observer=seen.append, should_stop=lambda: len(seen) >= 5)
    assert 3 <= done.summary.counts["analysed"] < 40
    assert len(entries(store)) == done.summary.counts["analysed"]
    rest = [stat for stat in stats(library) if store.get(stat.path) is None]
    run(rest, store)
    assert len(entries(store)) == 68


def test_an_interrupt_keeps_what_is_done(library: Path, store: SqliteStore) -> None:
    seen: list[Event] = []

    def interrupt() -> bool:
        if len(seen) >= 4:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        run(stats(library), store, threads=1, observer=seen.append, should_stop=interrupt)
    kept = sum(isinstance(event, FileAnalysed) for event in seen)
    assert len(entries(store)) == kept >= 1


def test_a_failing_index_stops_the_phase_and_its_threads(library: Path, store: SqliteStore) -> None:
    before = set(threading.enumerate())

    class Failing(SqliteStore):
        def put(self, entries: Sequence[IndexEntry]) -> None:
            raise StoreError("the disk is full")

    with Failing(library.parent / "failing.sqlite3") as failing, pytest.raises(StoreError, match="disk is full"):
        run(stats(library), failing)
    assert set(threading.enumerate()) == before


def test_entries_are_put_as_the_work_goes_on(
    library: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH_SECONDS", 0.0)
    kept: list[int] = []
    run(stats(library), store, threads=1, observer=lambda event: kept.append(store.count(None)))
    assert max(kept) >= 4, "most are in the index before the last is done"


HOSTILE = """
import os, time
from py_image_dedup.media.worker import main as worker
def decode(stream, kind, limits, reserve):
    how = stream.read()[-5:]
    stream.seek(0)
    if how == b"#hang":
        time.sleep(600)
    if how == b"#dies":
        os.abort()
    return worker._decode(stream, kind, limits, reserve)
worker.serve({"decode": decode})
"""


def test_a_decoder_that_hangs_or_dies_does_not_take_the_run_down(library: Path, store: SqliteStore) -> None:
    for how in ("hang", "dies"):
        with write(library / f"{how}.webp", picture(20)).open("ab") as stream:
            stream.write(f"#{how}".encode())
    for seed in range(30, 36):
        write(library / f"{seed}.webp", picture(seed, 64, 48))

    def hostile(limits: Limits, budget: MemoryBudget) -> Decoder:
        return Decoder(limits, budget, WorkerClient(limits, (sys.executable, "-c", HOSTILE)))

    done = run(stats(library), store, limits=Limits(timeout_seconds=4), decoder=hostile)
    assert {failure.path.name: failure.reason for failure in done.failures} == {
        "dies.webp": FailureReason.CRASHED,
        "hang.webp": FailureReason.TIMEOUT,
    }
    assert done.summary.counts["analysed"] == 14
    found = entries(store)
    assert found["hang.webp"].digest == blake3((library / "hang.webp").read_bytes()).digest()


class HangingInThread(Decoder):
    """Never comes back from a certain file."""

    release: ClassVar[threading.Event]

    def decode(self, opened: OpenedFile) -> DecodedPicture:
        if opened.stat.path.name == "3.jpg":
            self.release.wait(60)
        return super().decode(opened)


def test_a_decoder_that_hangs_in_a_thread_costs_that_thread(
    library: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    HangingInThread.release = threading.Event()
    (library / "equal.jpg").write_bytes((library / "3.jpg").read_bytes())
    monkeypatch.setattr(module, "_WAIT_FACTOR", 1)
    try:
        done = run(stats(library), store, threads=1, limits=Limits(timeout_seconds=2), decoder=HangingInThread)
    finally:
        HangingInThread.release.set()
    reasons = {failure.path.name: failure.reason for failure in done.failures}
    assert reasons["3.jpg"] is FailureReason.TIMEOUT
    assert set(reasons.values()) == {FailureReason.TIMEOUT}
    found = entries(store)
    assert found["3.jpg"].digest is not None
    assert found["graphic.png"].decoded_whole


class BrokenDecoder(Decoder):
    """Has a mistake of ours."""

    def decode(self, opened: OpenedFile) -> DecodedPicture:
        raise AttributeError("a typing error")


def test_a_mistake_of_ours_is_not_blamed_on_the_file(library: Path, store: SqliteStore) -> None:
    with pytest.raises(AttributeError, match="typing error"):
        run(stats(library), store, decoder=BrokenDecoder)


def test_nothing_stale_is_no_work(store: SqliteStore) -> None:
    done = run([], store)
    assert done.summary.counts == {"analysed": 0, "known": 0, "failed": 0, "bytes": 0}


def test_what_is_read_ahead_is_bounded(tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "many"
    for seed in range(40):
        write(folder / f"{seed}.png", picture(seed, 100, 80))
    monkeypatch.setattr(module, "_READ_AHEAD_BYTES", 100_000)
    alive = 0
    most = 0
    lock = threading.Lock()
    real = module.read_file

    def count(path: Path) -> OpenedFile:
        nonlocal alive, most
        with lock:
            alive += path.stat().st_size
            most = max(most, alive)
        return real(path)

    class Counting(Decoder):
        def decode(self, opened: OpenedFile) -> DecodedPicture:
            nonlocal alive
            try:
                return super().decode(opened)
            finally:
                with lock:
                    alive -= opened.stat.size

    monkeypatch.setattr(module, "read_file", count)
    done = run(stats(folder), store, threads=4, decoder=partial(Counting))
    assert done.summary.counts["analysed"] == 40
    assert most <= 100_000
