from __future__ import annotations

from pathlib import Path

import pytest

from py_image_dedup.report.text import below, common_folder, count_words, readable, seconds_words, size_words


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 KiB"), (310_000, "303 KiB"), (5 << 40, "5.0 TiB")],
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert size_words(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.123, "0.12 s"), (9.96, "10.0 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert seconds_words(seconds) == words


def test_counts_in_words() -> None:
    assert [count_words(1, "file"), count_words(1234, "file"), count_words(2, "entry", "entries")] == [
        "1 file",
        "1,234 files",
        "2 entries",
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ö 写真 👩‍👩‍👧.jpg", "ö 写真 👩‍👩‍👧.jpg"),
        ("a\udcff.jpg", "a\ufffd.jpg"),
        ("a\nb\x1b[2J", "a\\nb\\x1b[2J"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
    ],
)
def test_names_that_would_disturb_a_terminal_are_written_out(name: str, words: str) -> None:
    assert readable(Path("/p") / name) == f"/p/{words}"


def test_a_path_is_relative_to_what_all_roots_share() -> None:
    folder = common_folder([Path("/home/ann/a"), Path("/home/ann/b")])
    assert folder == Path("/home/ann")
    assert below(Path("/home/ann/a/x.jpg"), folder) == "a/x.jpg"
    assert below(Path("/home/annabel/x.jpg"), folder) == "/home/annabel/x.jpg"
    assert common_folder([Path("/a"), Path("/b")]) is None
    assert common_folder([]) is None
