"""The command ``review`` as a process: it serves, and ends when it is asked to."""

from __future__ import annotations

import signal
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from tests.cli.program import Program, contents, environment
from tests.report.test_html import content_of


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_serves_and_ends(program: Program, library: Path, end: signal.Signals) -> None:
    before = contents(library)
    process = subprocess.Popen(
        program.command("review", library, "--no-browser"),
        cwd=program.home,
        env=environment(program.home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310 - our own server
            base = content_of(answer.read().decode())["served"]["base"]
        status = urllib.parse.urljoin(address, f"{base}status")
        with urllib.request.urlopen(status, timeout=20) as answer:  # noqa: S310 - our own server
            assert b'"applied":[]' in answer.read()
        process.send_signal(end)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "The review has ended." in errors
    assert contents(library) == before


@pytest.mark.parametrize(
    "options",
    [
        ("--exclude", "/copies/", "--min-pixels", "400x300"),
        ("--same-dimensions", "--similarity", "strict", "--exclude", "copy"),
    ],
)
def test_the_options_of_a_run_select_what_is_reviewed(
    program: Program, library: Path, options: tuple[str, ...]
) -> None:
    ended = program.call("review", library, "--no-browser", *options)
    assert ended.code == 0, ended.err
    assert "There are no duplicates to review." in ended.err


def test_originals_are_compared_with_and_scopes_refused(program: Program, library: Path) -> None:
    wrong = program.call("review", library / "copies", "--against", library / "2019", "--scope", "all")
    assert (wrong.code, "--against and --scope contradict each other." in wrong.err) == (2, True)
    alone = program.call("review", library / "2019", "--against", library / "copies", "--extension", "png")
    assert "There are no duplicates to review." in alone.err


def test_without_duplicates_there_is_nothing_to_review(program: Program, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = program.call("review", tmp_path / "empty", "--no-browser")
    assert ended.code == 0
    assert "There are no duplicates to review." in ended.err
    assert ended.out == ""
