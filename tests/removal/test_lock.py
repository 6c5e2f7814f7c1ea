from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from py_image_dedup.removal.runs import RunLock, RunLockedError

HOLDER = """
import sys, time
from pathlib import Path
from py_image_dedup.removal.runs import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_told_which_process_has_the_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunLockedError, match=f"process {holder.pid}"), RunLock(tmp_path):
            pytest.fail("two runs at once")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with RunLock(tmp_path):
            assert (tmp_path / "run.lock.holder").read_text() == f"{os.getpid()}\n"
    finally:
        holder.kill()
        holder.communicate()


def test_the_same_process_cannot_have_it_twice(tmp_path: Path) -> None:
    with RunLock(tmp_path / "new"), pytest.raises(RunLockedError), RunLock(tmp_path / "new"):
        pytest.fail("two runs at once")


def test_the_lock_is_free_after_a_run(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        pass
    with RunLock(tmp_path):
        pass
    lock = RunLock(tmp_path)
    lock.release()


def test_two_state_directories_are_two_locks(tmp_path: Path) -> None:
    with RunLock(tmp_path / "a"), RunLock(tmp_path / "b"):
        assert (tmp_path / "a" / "run.lock").exists()
