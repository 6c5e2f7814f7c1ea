"""The daemon as a process: what a person does to a library while it watches."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from tests.daemon.process import QUIET_SECONDS, DaemonProcess
from tests.support.pictures import picture, write

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    made = DaemonProcess(tmp_path)
    for seed in range(4):
        write(made.photos / f"{seed}.jpg", picture(seed))
    yield made
    made.close()


def jpeg(seed: int, quality: int = 90, size: tuple[int, int] = (320, 240)) -> bytes:
    buffer = io.BytesIO()
    picture(seed, *size).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def test_a_copy_that_arrives_is_moved_away_within_seconds_of_settling(daemon: DaemonProcess) -> None:
    daemon.start()
    shutil.copy2(daemon.photos / "1.jpg", daemon.photos / "1 copy.jpg")
    began = time.monotonic()
    daemon.until(lambda: daemon.moved() == {"1 copy.jpg"})
    assert time.monotonic() - began < QUIET_SECONDS + 5
    assert daemon.metric('duplicate_action_total{action="move"}') == 1


def test_a_copy_of_a_photo_whose_time_was_set_is_found(daemon: DaemonProcess) -> None:
    daemon.start()
    time.sleep(2)  # events from the start would hide that those of the change of time are not heard
    photo = daemon.photos / "1.jpg"
    os.utime(photo, (1_500_000_000, 1_500_000_000))
    time.sleep(QUIET_SECONDS + 2)
    (daemon.photos / "sub").mkdir()
    shutil.copyfile(photo, daemon.photos / "sub" / "1 copy.jpg")
    daemon.until(lambda: len(daemon.moved()) == 1)


def test_duplicates_that_were_there_before_are_found_by_the_first_full_run(daemon: DaemonProcess) -> None:
    shutil.copy2(daemon.photos / "1.jpg", daemon.photos / "1 copy.jpg")
    daemon.start()
    assert daemon.moved() == {"1 copy.jpg"}
    # The gauges are those of after the run.
    assert daemon.metric("py_image_dedup_groups") == 0
    assert daemon.metric("py_image_dedup_files") == 4


def test_a_photo_that_is_written_slowly_is_never_read_half(daemon: DaemonProcess) -> None:
    daemon.start()
    whole = jpeg(2, quality=40)
    with (daemon.photos / "slow.jpg").open("wb") as file:
        for start in range(0, len(whole), len(whole) // 8 + 1):
            file.write(whole[start : start + len(whole) // 8 + 1])
            file.flush()
            time.sleep(QUIET_SECONDS * 0.5)
    daemon.until(lambda: daemon.moved() == {"slow.jpg"})
    assert daemon.metric('py_image_dedup_failures_total{phase="analyse",reason="truncated"}') == 0
    assert daemon.metric('py_image_dedup_failures_total{phase="analyse",reason="corrupt"}') == 0


def test_the_index_follows_what_is_renamed_moved_and_deleted(daemon: DaemonProcess) -> None:
    daemon.start()
    (daemon.photos / "0.jpg").rename(daemon.photos / "renamed.jpg")
    (daemon.photos / "1.jpg").rename(daemon.photos.parent / "moved out.jpg")
    (daemon.photos / "2.jpg").unlink()
    write(daemon.photos / "sub" / "new.jpg", picture(20))
    expected = {Path("renamed.jpg"), Path("3.jpg"), Path("sub/new.jpg")}
    daemon.until(lambda: daemon.indexed() == expected)


def test_a_folder_tree_that_is_moved_in_and_out_is_followed(daemon: DaemonProcess) -> None:
    tree = daemon.photos.parent / "tree"
    for seed in range(30, 34):
        write(tree / f"{seed % 2}" / "deep" / f"{seed}.jpg", picture(seed))
    shutil.copy2(daemon.photos / "3.jpg", tree / "0" / "3 copy.jpg")
    daemon.start()
    inside = tree.rename(daemon.photos / "tree")
    daemon.until(lambda: daemon.moved() == {"3 copy.jpg"})
    daemon.until(lambda: len(daemon.indexed()) == 8)
    inside.rename(tree)
    daemon.until(lambda: len(daemon.indexed()) == 4)


def test_its_own_moves_cause_no_further_work(daemon: DaemonProcess) -> None:
    daemon.start()
    shutil.copy2(daemon.photos / "1.jpg", daemon.photos / "1 copy.jpg")
    daemon.until(lambda: daemon.moved() == {"1 copy.jpg"})
    daemon.until(daemon.is_quiet)
    runs = daemon.metric('py_image_dedup_runs_total{kind="batch",result="done"}')
    time.sleep(2 * QUIET_SECONDS + 1)
    assert daemon.metric('py_image_dedup_runs_total{kind="batch",result="done"}') == runs == 1


def test_a_dry_run_tells_and_moves_nothing(daemon: DaemonProcess) -> None:
    daemon.configure(dry_run=True)
    daemon.start()
    copy = Path(shutil.copy2(daemon.photos / "1.jpg", daemon.photos / "1 copy.jpg"))
    daemon.until(lambda: daemon.metric('py_image_dedup_actions_total{action="move",outcome="planned"}') == 1)
    assert copy.exists()
    assert daemon.moved() == set()
    assert " would be moved to " in daemon.words()


def test_sigterm_ends_it_well_within_ten_seconds(daemon: DaemonProcess) -> None:
    daemon.start()
    began = time.monotonic()
    assert daemon.stop() == 0, daemon.words()
    assert time.monotonic() - began < 10


def test_sigterm_in_the_middle_of_the_first_analysis_ends_it_well(daemon: DaemonProcess) -> None:
    daemon.configure(dry_run=True)
    large = jpeg(5, size=(3000, 2000))
    for number in range(100):
        (daemon.photos / f"large {number}.jpg").write_bytes(large + b"%d" % number)
    daemon.start_only()
    daemon.until(lambda: (daemon.state / "index.sqlite3").exists())
    time.sleep(0.3)
    began = time.monotonic()
    assert daemon.stop() == 0, daemon.words()
    assert time.monotonic() - began < 10
    daemon.start_only()
    daemon.until(lambda: len(daemon.indexed()) == 104, 60)


def test_sighup_makes_it_read_its_configuration_again(daemon: DaemonProcess) -> None:
    daemon.configure(dry_run=True)
    shutil.copy2(daemon.photos / "1.jpg", daemon.photos / "1 copy.jpg")
    daemon.start()
    assert daemon.moved() == set()
    daemon.configure(dry_run=False)
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: daemon.moved() == {"1 copy.jpg"})
    daemon.until(lambda: daemon.metric("py_image_dedup_files") == 4)


def test_a_wrong_configuration_is_told_and_the_old_one_stays(daemon: DaemonProcess) -> None:
    daemon.start()
    good = daemon.config.read_text()
    daemon.config.write_text(good.replace("dry_run: false", "dry_run: perhaps"))
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: "new configuration is not used" in daemon.words())
    shutil.copy2(daemon.photos / "1.jpg", daemon.photos / "1 copy.jpg")
    daemon.until(lambda: daemon.moved() == {"1 copy.jpg"})


def test_killed_in_the_middle_of_its_moves_it_recovers_and_loses_nothing(daemon: DaemonProcess) -> None:
    for seed in range(4):
        for number in range(25):
            (daemon.photos / f"{seed} ({number}).jpg").write_bytes(jpeg(seed) + b"tail %d" % number)
    wanted = {blake3(path.read_bytes()).digest() for path in daemon.photos.iterdir()}
    for delay in (0.0, 0.02, 0.05):
        daemon.start_only()
        daemon.until(lambda: bool(daemon.moved()))
        time.sleep(delay)
        daemon.kill()
    daemon.start()
    daemon.until(lambda: len(list(daemon.photos.iterdir())) == 4)
    left = [*daemon.photos.rglob("*.jpg"), *daemon.out.rglob("*.jpg")]
    kept = {blake3(path.read_bytes()).digest() for path in left}
    assert kept == wanted


def test_a_library_that_goes_away_is_not_taken_for_deleted_and_is_seen_again(daemon: DaemonProcess) -> None:
    daemon.start()
    away = daemon.photos.rename(daemon.photos.parent / "away")
    daemon.photos.mkdir()
    daemon.until(lambda: daemon.page("/readyz")[0] == 503)
    time.sleep(QUIET_SECONDS + 1)
    assert len(daemon.indexed()) == 4
    daemon.photos.rmdir()
    away.rename(daemon.photos)
    daemon.until(daemon.is_ready, 60)
    shutil.copy2(daemon.photos / "1.jpg", daemon.photos / "1 copy.jpg")
    daemon.until(lambda: daemon.moved() == {"1 copy.jpg"})
    assert daemon.metric("py_image_dedup_watcher_restarts_total") == 1


def test_what_happens_while_the_kernels_queue_is_full_is_found_by_a_full_run(daemon: DaemonProcess) -> None:
    limit = Path("/proc/sys/fs/inotify/max_queued_events")
    if not limit.exists() or int(limit.read_text()) > 100_000:
        pytest.skip("the queue of this system cannot be filled in a test")
    daemon.start()
    full_runs = daemon.metric('py_image_dedup_runs_total{kind="full",result="done"}')
    # A process that does not read lets the queue fill up; a file that is made is more than one event.
    daemon.signal(signal.SIGSTOP)
    try:
        for number in range(int(limit.read_text())):
            (daemon.photos / f"{number}.txt").touch()
        shutil.copy2(daemon.photos / "1.jpg", daemon.photos / "1 copy.jpg")
    finally:
        daemon.signal(signal.SIGCONT)
    daemon.until(lambda: daemon.moved() == {"1 copy.jpg"}, 120)
    assert daemon.metric('file_event_total{type="overflow"}') >= 1
    daemon.until(lambda: daemon.metric('py_image_dedup_runs_total{kind="full",result="done"}') > full_runs)
    assert "the kernel dropped file events" in daemon.words()


def test_a_disk_that_is_unmounted_and_mounted_again_keeps_its_entries(daemon: DaemonProcess, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "--bind", str(disk), str(daemon.photos)], capture_output=True, check=False
    ).returncode == 0  # fmt: skip
    if not mounted:
        pytest.skip("mounting is not allowed here")
    try:
        for seed in range(3):
            write(daemon.photos / f"{seed}.jpg", picture(seed))
        daemon.start()
        subprocess.run(["umount", "--lazy", str(daemon.photos)], check=True)
        # Below the mount point lie the four photos of the fixture: another file system with other files.
        for path in daemon.photos.iterdir():
            path.unlink()
        daemon.until(lambda: daemon.page("/readyz")[0] == 503)
        assert len(daemon.indexed()) == 3
        subprocess.run(["mount", "--bind", str(disk), str(daemon.photos)], check=True)
        daemon.until(daemon.is_ready, 60)
        assert len(daemon.indexed()) == 3
    finally:
        daemon.close()
        subprocess.run(["umount", "--lazy", str(daemon.photos)], check=False, capture_output=True)


def test_another_programs_run_is_waited_for(daemon: DaemonProcess) -> None:
    from py_image_dedup.removal.runs import RunLock

    with RunLock(daemon.state):
        daemon.start_only()
        daemon.until(lambda: "another run uses" in daemon.words())
        assert daemon.page("/readyz")[0] == 503
        assert daemon.page("/healthz")[0] == 200
    daemon.until(daemon.is_ready)


def test_a_port_that_is_taken_is_said_and_the_daemon_does_not_start(daemon: DaemonProcess) -> None:
    daemon.start()
    second = DaemonProcess(daemon.photos.parent, stats={"port": daemon.port})
    second.log = second.log.with_name("second")
    second.start_only()
    assert second.process is not None
    assert second.process.wait(20) == 1
    assert f"127.0.0.1:{daemon.port}: another program uses it" in second.words()
    assert "Traceback" not in second.words()


@pytest.mark.slow
def test_five_thousand_files_dropped_at_once_are_all_handled(daemon: DaemonProcess) -> None:
    # Each of 50 pictures 100 times, told apart by bytes after the end: 4,950 are redundant.
    daemon.configure(deduplication={"duplicates_target_directory": str(daemon.out)})
    daemon.start()
    drop = daemon.photos / "drop"
    drop.mkdir()
    for seed in range(100, 150):
        content = jpeg(seed, size=(96, 72))
        for number in range(100):
            (drop / f"{seed}-{number:03}.jpg").write_bytes(content + b"%03d" % number)
    daemon.until(lambda: len(list(drop.iterdir())) == 50, 120)
    assert len(daemon.moved()) == 4950
    daemon.until(daemon.is_quiet)
    assert len(daemon.indexed()) == 54


def test_a_file_that_an_undo_restored_stays_until_a_run_by_hand_removes_it(daemon: DaemonProcess) -> None:
    daemon.start()
    copy, smaller = daemon.photos / "1 copy.jpg", daemon.photos / "1 sent.jpg"
    shutil.copy2(daemon.photos / "1.jpg", copy)
    smaller.write_bytes(jpeg(1, quality=40))
    daemon.until(lambda: daemon.moved() == {copy.name, smaller.name})
    for run in (daemon.state / "runs").iterdir():
        assert daemon.command("undo", run.name).returncode == 0
    batches = daemon.metric('py_image_dedup_runs_total{kind="batch",result="done"}')
    shutil.copy2(daemon.photos / "1.jpg", daemon.photos / "1 other.jpg")
    daemon.until(lambda: daemon.moved() == {"1 other.jpg"})
    assert daemon.metric('py_image_dedup_runs_total{kind="batch",result="done"}') > batches
    daemon.signal(signal.SIGHUP)  # a full run follows
    daemon.until(lambda: daemon.words().count("full run ") == 2)
    assert copy.exists()
    assert smaller.exists()
    assert daemon.stop() == 0
    assert daemon.command("deduplicate", "--no-dry-run", "--yes").returncode == 0
    assert daemon.moved() == {copy.name, smaller.name, "1 other.jpg"}
    assert '"files": []' in (daemon.state / "restored.json").read_text()
