"""Pictures on a terminal: which protocol is chosen, and that what is sent is the picture."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from py_image_dedup.report.terminal_pictures import Protocol, can_show_colours, drawn, protocol_of
from tests.conftest import IN_CI

Pixels = npt.NDArray[np.uint8]
LEFT, RIGHT = (200, 40, 40), (40, 90, 220)


def thumbnail(colour: tuple[int, int, int], size: tuple[int, int] = (160, 120)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "WEBP", quality=95)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("environment", "answer", "protocol"),
    [
        ({"KITTY_WINDOW_ID": "1"}, b"", Protocol.KITTY),
        ({"TERM": "xterm-kitty"}, b"", Protocol.KITTY),
        ({"TERM_PROGRAM": "ghostty"}, b"", Protocol.KITTY),
        ({"TERM_PROGRAM": "iTerm.app"}, b"", Protocol.ITERM),
        ({"TERM_PROGRAM": "WezTerm"}, b"", Protocol.ITERM),
        ({"LC_TERMINAL": "iTerm2"}, b"", Protocol.ITERM),
        ({"TERM": "foot"}, b"\x1b[?62;4;22c", Protocol.SIXEL),
        ({"TERM": "xterm"}, b"\x1b[?64;1;2;6;9;15;22c", Protocol.BLOCKS),
        ({"TERM": "xterm"}, b"\x1b[?44c", Protocol.BLOCKS),
        ({"TERM": "xterm"}, b"", Protocol.BLOCKS),
        ({"TERM": "xterm"}, b"typed ahead", Protocol.BLOCKS),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "ghostty"}, b"\x1b[?4c", Protocol.BLOCKS),
        ({"TMUX": "x", "KITTY_WINDOW_ID": "1"}, b"", Protocol.BLOCKS),
    ],
)
def test_the_protocol_is_that_of_the_terminal(environment: dict[str, str], answer: bytes, protocol: Protocol) -> None:
    assert protocol_of(environment, lambda: answer) is protocol


def test_half_blocks_need_a_terminal_with_all_colours() -> None:
    assert can_show_colours({"COLORTERM": "truecolor"})
    assert not can_show_colours({"COLORTERM": "truecolor", "NO_COLOR": "1"})
    assert not can_show_colours({"TERM": "xterm-256color"})


def of_kitty(text: str) -> Pixels:
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert parts[0][0].startswith("a=T,f=100,r=10,q=2,m=")
    assert [control[-1] for control, _ in parts] == ["1"] * (len(parts) - 1) + ["0"]
    assert all(len(data) <= 4096 for _, data in parts)
    return from_png("".join(data for _, data in parts))


def of_iterm(text: str) -> Pixels:
    found = re.fullmatch(r"\x1b\]1337;File=inline=1;size=(\d+);height=10;preserveAspectRatio=1:(.*)\x07\n", text)
    assert found is not None
    assert int(found[1]) == len(base64.b64decode(found[2]))
    return from_png(found[2])


def from_png(data: str) -> Pixels:
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        return np.asarray(picture.convert("RGBA"))[:, :, :3]


def of_sixel(text: str) -> Pixels:
    """Draw sixels as a terminal does."""
    found = re.fullmatch(r'\x1bP0;1q"1;1;(\d+);(\d+)(.*)\x1b\\\n', text, re.DOTALL)
    assert found is not None
    width, height = int(found[1]), int(found[2])
    pixels = np.zeros((height, width, 3), np.uint8)
    colours: dict[int, tuple[int, ...]] = {}
    x = y = now = 0
    for define, number, repeat, sixel, control in re.findall(
        r"(#\d+;2;\d+;\d+;\d+)|#(\d+)|(?:!(\d+))?([?-~])|([$-])", found[3]
    ):
        if define:
            name, _, *parts = define[1:].split(";")
            colours[int(name)] = tuple(round(int(part) * 2.55) for part in parts)
        elif number:
            now = int(number)
        elif control:
            x, y = 0, y + (6 if control == "-" else 0)
        else:
            for _ in range(int(repeat or 1)):
                for row in range(6):
                    if (ord(sixel) - 63) >> row & 1:
                        pixels[y + row, x] = colours[now]
                x += 1  # noqa: SIM113 - carriage returns take it back
    return pixels


def of_blocks(text: str) -> Pixels:
    rows = []
    for line in text.rstrip("\n").split("\n"):
        upper, lower = [], []
        colours = (0,) * 6
        for codes, character in re.findall(r"\x1b\[([0-9;]*)m|(.)", line):
            if codes:
                values = [int(code) for code in codes.split(";")]
                colours = (*values[2:5], *values[7:10]) if len(values) == 10 else (0,) * 6
            else:
                upper.append(colours[:3] if character == "\u2580" else (0, 0, 0))
                lower.append(colours[3:] if character == "\u2580" else (0, 0, 0))
        rows += [upper, lower]
    return np.array(rows, np.uint8)


@pytest.mark.parametrize(
    ("protocol", "read", "tolerance"),
    [
        (Protocol.KITTY, of_kitty, 4),
        (Protocol.ITERM, of_iterm, 4),
        (Protocol.SIXEL, of_sixel, 4),
        (Protocol.BLOCKS, of_blocks, 4),
    ],
)
def test_what_is_sent_is_the_pictures_side_by_side(protocol: Protocol, read: object, tolerance: int) -> None:
    assert callable(read)
    pixels = read(drawn([thumbnail(LEFT), thumbnail(RIGHT, (120, 160))], protocol, 100)).astype(int)
    height = pixels.shape[0]
    assert height == (20 if protocol is Protocol.BLOCKS else 200)
    first, second = round(height * 4 / 3), round(height * 3 / 4)
    gap = pixels.shape[1] - first - second
    assert gap == (2 if protocol is Protocol.BLOCKS else 8)
    middle = height // 2
    assert np.abs(mean_around(pixels, first // 2) - LEFT).max() <= tolerance
    assert pixels[middle, first + gap // 2].max() == 0
    assert np.abs(mean_around(pixels, first + gap + second // 2) - RIGHT).max() <= tolerance


def mean_around(pixels: Pixels, column: int) -> npt.NDArray[np.float64]:
    """The mean colour of 8 x 8 pixels, over which a dithered colour is the one that was meant."""
    row = pixels.shape[0] // 2
    found: npt.NDArray[np.float64] = pixels[row - 4 : row + 4, column - 4 : column + 4].reshape(-1, 3).mean(axis=0)
    return found


def test_libsixel_shows_what_is_sent(tmp_path: Path) -> None:
    program = shutil.which("sixel2png")
    if program is None:
        reason = "sixels are decoded with sixel2png: install the package libsixel-bin"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    sent, shown = tmp_path / "x.six", tmp_path / "x.png"
    text = drawn([thumbnail(LEFT), thumbnail(RIGHT, (120, 160))], Protocol.SIXEL, 100)
    sent.write_text(text, encoding="ascii")
    subprocess.run([program, "-i", sent, "-o", shown], check=True, timeout=30)
    with Image.open(shown) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (200, 267 + 8 + 150, 3)
    assert np.abs(pixels.astype(int) - of_sixel(text)).max() <= 1


@pytest.mark.parametrize("protocol", list(Protocol))
def test_no_line_is_wider_than_the_terminal_and_nothing_is_drawn_of_nothing(protocol: Protocol) -> None:
    assert drawn([], protocol, 80) == ""
    assert drawn([b"no picture"], protocol, 80) == ""
    text = drawn([thumbnail(LEFT, (320, 60))] * 6, protocol, 40)
    assert text.endswith("\n")
    if protocol is Protocol.BLOCKS:
        assert of_blocks(text).shape[1] <= 40
    if protocol is Protocol.KITTY:
        assert of_kitty(text).shape[1] <= 390


@pytest.mark.parametrize(("cell", "shape"), [((8, 18), (180, 8 * 39)), ((12, 24), (240, 12 * 39))])
def test_pictures_are_as_wide_as_the_terminal_whatever_the_size_of_a_character(
    cell: tuple[int, int], shape: tuple[int, int]
) -> None:
    wide = thumbnail(LEFT, (320, 40))
    assert of_sixel(drawn([wide], Protocol.SIXEL, 40, cell)).shape[:2] == shape
    scaled = of_kitty(drawn([wide], Protocol.KITTY, 40, cell)).shape
    assert scaled[1] * 10 * cell[1] / scaled[0] / cell[0] == pytest.approx(39, abs=0.1)  # columns at ten lines
