"""At a terminal: progress, the question, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.program import Program, contents, environment
from tests.support.pictures import picture, write

SECONDS = 90
TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""Makes standard input the terminal that Ctrl-C is pressed at, then becomes the program."""


class Terminal:
    """A program at a pseudo terminal: what it writes can be waited for, and keys can be pressed."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self._seen = b""

    @property
    def text(self) -> str:
        """Everything that was written so far."""
        return self._seen.decode("utf-8", "replace").replace("\r\n", "\n")

    def wait_for(self, pattern: str) -> None:
        """Read until something was written that matches; fails when the program ends or takes too long."""
        end = time.monotonic() + SECONDS
        while not re.search(pattern, self.text):
            assert time.monotonic() < end, f"{pattern!r} did not come:\n{self.text}"
            assert self._read(), f"the program ended before {pattern!r}:\n{self.text}"

    def press(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def end(self) -> int:
        """Read to the end and return the exit code."""
        while self._read():
            pass
        return self.process.wait(SECONDS)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], SECONDS)
        assert ready, f"nothing more came:\n{self.text}"
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # the other side is closed
            return False
        self._seen += data
        return bool(data)


@contextmanager
def terminal(program: Program, *arguments: str, **changes: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE_TERMINAL, *program.command(*arguments)],
        cwd=program.home,
        env=environment(program.home, {"TERM": "xterm", "COLUMNS": "100", "PAGER": "cat", **changes}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_a_real_run_shows_the_groups_and_asks_once(program: Program, library: Path) -> None:
    before = contents(library)
    with terminal(program, "deduplicate", "Pictures", "--no-dry-run") as at:
        at.wait_for(r"Continue\? \[y/N\]")
        assert contents(library) == before
        shown = plain(at.text)
        assert "  delete      copies/beach copy.jpg" in shown
        assert "2 files, " in shown
        assert "1 to delete, 1 to quarantine. Continue?" in shown
        at.press("y\n")
        assert at.end() == 0
    text = plain(at.text)
    assert text.count("Continue?") == 1
    assert text.count("Group 1 of 1") == 1
    assert "Removed       2 files" in text
    assert "copies/beach copy.jpg" not in contents(library)


def test_a_terminal_that_shows_sixels_gets_pictures_of_the_first_groups(program: Program, library: Path) -> None:
    with terminal(program, "deduplicate", "Pictures") as at:
        at.wait_for(r"\x1b\[c")
        at.press("\x1b[?62;4;22c")
        assert at.end() == 0
    assert at.text.count("\x1bP0;1q") == 1
    assert plain(at.text).index("Group 1 of 1") < at.text.index("\x1bP0;1q")
    assert "62;4;22c" not in at.text  # the answer of the terminal is not shown


def test_a_long_report_goes_through_the_pager_with_pictures_in_half_blocks(program: Program, library: Path) -> None:
    pager = program.home / "pager"
    pager.write_text("#!/bin/sh\nprintf 'PAGED\\n'\ncat\n")
    pager.chmod(0o755)
    for number in range(8):
        (library / f"broken {number}.jpg").write_bytes(b"no picture %d" % number)
    given = {"PAGER": str(pager), "LINES": "12", "COLORTERM": "truecolor", "KITTY_WINDOW_ID": "", "TMUX": "1"}
    with terminal(program, "--color", "deduplicate", "Pictures", **given) as at:
        assert at.end() == 0
    before, after = at.text.split("PAGED\n")
    assert "Group 1 of 1" not in plain(before)
    assert plain(after).count("Group 1 of 1") == 1
    assert after.count("\u2580") > 200
    with terminal(program, "deduplicate", "Pictures", "--no-pager", "--no-pictures", **given) as at:
        assert at.end() == 0
    assert "PAGED" not in at.text
    assert "\u2580" not in at.text


def test_no_or_enter_or_ctrl_c_at_the_question_change_nothing(program: Program, library: Path) -> None:
    before = contents(library)
    for keys in ("n\n", "\n", "\x03"):
        with terminal(program, "deduplicate", "Pictures", "--no-dry-run") as at:
            at.wait_for(r"Continue\? \[y/N\]")
            time.sleep(0.5)  # Ctrl-C just before the program begins to wait is one of Python's few deaf moments
            at.press(keys)
            assert at.end() == 0, at.text
        assert "Nothing was changed." in at.text
        assert "Traceback" not in at.text
        assert contents(library) == before


def test_a_question_that_nobody_would_see_is_not_asked_and_nothing_is_removed(program: Program, library: Path) -> None:
    before = contents(library)
    ours, theirs = pty.openpty()
    try:
        ended = subprocess.run(
            program.command("deduplicate", "Pictures", "--no-dry-run"),
            cwd=program.home,
            env=environment(program.home),
            stdin=theirs,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert ended.returncode == 2
    assert b"Not a terminal: use --yes to confirm." in ended.stderr
    assert contents(library) == before


def test_with_yes_nothing_is_asked(program: Program, library: Path) -> None:
    with terminal(program, "deduplicate", "Pictures", "--no-dry-run", "--yes") as at:
        assert at.end() == 0
    assert "Continue?" not in at.text
    assert "copies/beach copy.jpg" not in contents(library)


def test_a_dry_run_asks_nothing_and_shows_progress(program: Program, library: Path) -> None:
    with terminal(program, "deduplicate", "Pictures") as at:
        assert at.end() == 0
    text = plain(at.text)
    assert "Continue?" not in text
    assert re.search(r"Analysing +━+ +5 of 5 files", text)
    assert at.text.rindex("\x1b[?25h") > at.text.rindex("\x1b[?25l")  # the cursor is back


def many_photos(folder: Path, count: int) -> Path:
    data = write(folder / "0.jpg", picture(5, 1280, 960)).read_bytes()
    for number in range(1, count):
        (folder / f"{number}.jpg").write_bytes(data + str(number).encode())
    return folder


def test_ctrl_c_stops_after_the_file_in_hand_and_the_next_run_goes_on(program: Program) -> None:
    many_photos(program.home / "many", 300)
    with terminal(program, "analyse", "many", PY_IMAGE_DEDUP_ANALYSIS_THREADS="1") as at:
        at.wait_for("Analysing")
        at.press("\x03")
        assert at.end() == 130, at.text
    assert "Stopping after the current file; press Ctrl-C again to stop at once." in at.text
    assert "Stopped. What was read is kept; run the same command to continue." in at.text
    assert "Traceback" not in at.text
    second = program.call("analyse", "many", "--output", "json")
    counts = {phase["name"]: phase["counts"] for phase in json.loads(second.out)["phases"]}
    assert 0 < counts["cleanup"]["stale"] <= 300
    assert counts["analyse"]["analysed"] == counts["cleanup"]["stale"]


def test_a_service_managers_signal_is_heard_as_ctrl_c(program: Program) -> None:
    many_photos(program.home / "many", 300)
    with terminal(program, "analyse", "many", PY_IMAGE_DEDUP_ANALYSIS_THREADS="1") as at:
        at.wait_for("Analysing")
        at.process.send_signal(signal.SIGTERM)
        assert at.end() == 143, at.text
    assert "Stopped." in at.text


def test_the_second_ctrl_c_stops_at_once() -> None:
    script = (
        "import time\n"
        "from py_image_dedup.cli.context import Interrupt\n"
        "with Interrupt(lambda words: print(words, flush=True), lambda: print('cursor', flush=True)) as interrupt:\n"
        "    print('ready', flush=True)\n"
        "    while True:\n"
        "        time.sleep(0.01)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "Stopping after the current file; press Ctrl-C again to stop at once.\n"
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "cursor\n"
        assert process.wait(SECONDS) == -signal.SIGINT


def test_clear_asks_at_a_terminal(program: Program, library: Path) -> None:
    program.call("analyse", "Pictures")
    with terminal(program, "clear") as at:
        at.wait_for(r"Delete all entries of .*index.sqlite3\? \[y/N\]")
        at.press("n\n")
        assert at.end() == 1
    assert "Files         5" in program.call("status").out
    with terminal(program, "clear") as at:
        at.wait_for(r"\[y/N\]")
        at.press("y\n")
        assert at.end() == 0
    assert "Files         0" in program.call("status").out


def test_undo_says_that_it_restores_and_verify_that_it_verifies(program: Program, library: Path) -> None:
    program.call("deduplicate", "Pictures", "--no-dry-run", "--yes")
    (run,) = (program.state / "runs").iterdir()
    for arguments, title in ((["verify", run.name], "Verifying"), (["undo"], "Restoring")):
        with terminal(program, *arguments) as at:
            assert at.end() == 0, at.text
        assert re.search(rf"{title} +━+", plain(at.text)), at.text
        assert "Removing" not in at.text
