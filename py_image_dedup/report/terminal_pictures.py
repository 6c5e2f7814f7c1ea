"""Pictures of groups on a terminal: by the protocol that it knows, or in half blocks.

The pictures are thumbnails that a worker process has rendered, so no byte of a photo itself is decoded here.
"""

from __future__ import annotations

import base64
import os
import re
import select
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.media.limits import Limits, MediaError
from py_image_dedup.media.rendering import RenderedSize
from py_image_dedup.model.closing import Closing
from py_image_dedup.model.match import RankedGroup
from py_image_dedup.report.pictures import EntryRenderer

_ROWS: Final = 10
"""Height of a picture, in lines of text."""
_USUAL_CELL: Final = (10, 20)
"""Size of a character where the terminal does not tell it, width and height in pixels."""
_CELLS: Final = ((4, 64), (8, 128))
"""Widths and heights of a character that are believed."""
_SCALED_HEIGHT: Final = 200
"""Height of pictures for terminals that scale them to a number of lines, in pixels."""
_GAP: Final = 8
_MOST_PICTURES: Final = 6
_MOST_GROUPS: Final = 3
_CHUNK: Final = 4096
_ANSWER_SECONDS: Final = 0.5
_BAYER: Final = np.array([[0, 2], [3, 1]])
_BAYER_4: Final = np.kron(np.ones((2, 2), int), 4 * _BAYER) + np.kron(_BAYER, np.ones((2, 2), int))
_BAYER_8: Final = np.kron(np.ones((2, 2), int), 4 * _BAYER_4) + np.kron(_BAYER, np.ones((4, 4), int))
_DITHER: Final = ((_BAYER_8 + 0.5) / 64).astype(np.float32)
"""Thresholds of an ordered dither, 8 x 8, each between 0 and 1."""
_WINDOW_SIZE: Final = struct.Struct("HHHH")
_DEVICE: Final = re.compile(rb"\x1b\[\?([0-9;]*)c")

Pixels = npt.NDArray[np.uint8]
"""A picture, height x width x 3, RGB."""
Strip = tuple[Pixels, npt.NDArray[np.bool_]]
"""Pictures beside each other, and for each pixel whether it belongs to one."""


class Protocol(StrEnum):
    """How a terminal shows pictures."""

    KITTY = "kitty"
    ITERM = "iterm"
    SIXEL = "sixel"
    BLOCKS = "blocks"


def protocol_of(environment: Mapping[str, str], ask: Callable[[], bytes]) -> Protocol:
    """Return how the terminal shows pictures.

    Args:
        environment: The environment variables, by which some terminals name themselves.
        ask: Returns the answer of the terminal to a request for its attributes (DA1); called if no variable tells.
    """
    program = environment.get("TERM_PROGRAM", "").lower()
    term = environment.get("TERM", "")
    if environment.get("TMUX") or term.startswith(("screen", "tmux")):
        return Protocol.BLOCKS  # what is between the program and the terminal swallows pictures
    if environment.get("KITTY_WINDOW_ID") or term in {"xterm-kitty", "xterm-ghostty"} or program == "ghostty":
        return Protocol.KITTY
    if program in {"iterm.app", "wezterm"} or environment.get("LC_TERMINAL") == "iTerm2":
        return Protocol.ITERM
    found = _DEVICE.search(ask())
    return Protocol.SIXEL if found and b"4" in found.group(1).split(b";") else Protocol.BLOCKS


def ask_terminal() -> bytes:
    """Return the answer of the terminal to a request for its attributes; empty if there is none within a moment."""
    try:
        with _unbuffered() as terminal:
            os.write(terminal, b"\x1b[c")
            answer, end = b"", time.monotonic() + _ANSWER_SECONDS
            while not answer.endswith(b"c") and (left := end - time.monotonic()) > 0:
                if select.select([terminal], [], [], left)[0]:
                    answer += os.read(terminal, 64)
            return answer
    except OSError:
        return b""


def cell_size() -> tuple[int, int]:
    """Return the width and height of a character on the terminal, in pixels; the usual ones if it does not tell."""
    import fcntl
    import termios

    try:
        with Path("/dev/tty").open("rb", buffering=0) as terminal:
            answer = fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(_WINDOW_SIZE.size))
    except OSError:
        return _USUAL_CELL
    rows, columns, width, height = _WINDOW_SIZE.unpack(answer)
    cell = (width // max(1, columns), height // max(1, rows))
    believed = all(least <= value <= most for value, (least, most) in zip(cell, _CELLS, strict=True))
    return cell if believed else _USUAL_CELL


@contextmanager
def _unbuffered() -> Iterator[int]:
    """Open the terminal so that an answer can be read without a line break and is not shown."""
    import termios
    import tty

    terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    try:
        before = termios.tcgetattr(terminal)
        try:
            tty.setcbreak(terminal)
            yield terminal
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
    except termios.error as error:
        raise OSError(str(error)) from error
    finally:
        os.close(terminal)


class GroupPictures(Closing):
    """Draws the first groups of a report. For one thread; close it.

    Args:
        protocol: How the terminal shows pictures.
        columns: Width of the terminal, in characters.
        cell: Width and height of a character, in pixels.
        limits: Cost limits of rendering one picture.
    """

    def __init__(
        self,
        protocol: Protocol,
        columns: int,
        cell: tuple[int, int] = _USUAL_CELL,
        limits: Limits | None = None,
    ) -> None:
        self._protocol = protocol
        self._columns = columns
        self._cell = cell
        self._renderer = EntryRenderer(limits)
        self._left = _MOST_GROUPS

    @property
    def is_text(self) -> bool:
        """Whether the pictures consist of characters, which a pager can show."""
        return self._protocol is Protocol.BLOCKS

    def draw(self, group: RankedGroup) -> str:
        """Return the pictures of a group, the keeper first, as text for the terminal; empty after the first groups."""
        if self._left <= 0:
            return ""
        self._left -= 1
        thumbnails = []
        for entry in (group.keeper, *(each.entry for each in group.redundant[: _MOST_PICTURES - 1])):
            with suppress(MediaError):
                thumbnails.append(self._renderer.render(entry, RenderedSize.THUMBNAIL))
        return drawn(thumbnails, self._protocol, self._columns, self._cell)

    def close(self) -> None:
        """End the worker process; closing twice is no error."""
        self._renderer.close()


def drawn(thumbnails: Sequence[bytes], protocol: Protocol, columns: int, cell: tuple[int, int] = _USUAL_CELL) -> str:
    """Return encoded pictures side by side as text for a terminal, which ends with a line break.

    Args:
        thumbnails: Encoded pictures that this program has rendered.
        protocol: How the terminal shows them.
        columns: Width of the terminal, in characters.
        cell: Width and height of a character, in pixels.
    """
    if protocol is Protocol.BLOCKS:
        height, width = 2 * _ROWS, columns
    else:
        # One column less: behind a picture as wide as the terminal, the place of the cursor is undefined.
        height = cell[1] * _ROWS if protocol is Protocol.SIXEL else _SCALED_HEIGHT
        width = (columns - 1) * cell[0] * height // (cell[1] * _ROWS)
    strip = _strip(thumbnails, height, width, 2 if protocol is Protocol.BLOCKS else _GAP)
    if strip is None:
        return ""
    draw = {
        Protocol.KITTY: _kitty,
        Protocol.ITERM: _iterm,
        Protocol.SIXEL: _sixel,
        Protocol.BLOCKS: _blocks,
    }[protocol]
    return draw(strip) + "\n"


def _strip(thumbnails: Sequence[bytes], height: int, width: int, gap: int) -> Strip | None:
    """Return as many pictures as fit beside each other, and where they are; ``None`` without any."""
    pictures: list[Pixels] = []
    used = 0
    for thumbnail in thumbnails:
        decoded = cv2.imdecode(np.frombuffer(thumbnail, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            continue
        wide = max(1, round(decoded.shape[1] * height / decoded.shape[0]))
        wide, high = (wide, height) if wide <= width else (width, max(1, round(height * width / wide)))
        if used and used + gap + wide > width:
            break
        scaled = cv2.resize(decoded, (wide, high), interpolation=cv2.INTER_AREA)
        pictures.append(np.ascontiguousarray(scaled[:, :, ::-1]))
        used += wide + (gap if used else 0)
    if not pictures:
        return None
    strip = np.zeros((height, used, 3), np.uint8)
    covered = np.zeros((height, used), np.bool_)
    left = 0
    for picture in pictures:
        high, wide = picture.shape[:2]
        strip[:high, left : left + wide] = picture
        covered[:high, left : left + wide] = True
        left += wide + gap
    return strip, covered


def _png(strip: Strip) -> bytes:
    pixels, covered = strip
    alpha = np.where(covered, 255, 0).astype(np.uint8)[:, :, None]
    _, encoded = cv2.imencode(".png", np.concatenate([pixels[:, :, ::-1], alpha], axis=2))
    return bytes(encoded)


def _kitty(strip: Strip) -> str:
    data = base64.standard_b64encode(_png(strip)).decode("ascii")
    parts = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    text = ""
    for place, part in enumerate(parts):
        # q=2: the terminal must not answer, because no answer is read.
        control = f"a=T,f=100,r={_ROWS},q=2," if place == 0 else ""
        text += f"\x1b_G{control}m={int(place < len(parts) - 1)};{part}\x1b\\"
    return text


def _iterm(strip: Strip) -> str:
    png = _png(strip)
    data = base64.standard_b64encode(png).decode("ascii")
    return f"\x1b]1337;File=inline=1;size={len(png)};height={_ROWS};preserveAspectRatio=1:{data}\x07"


def _sixel(strip: Strip) -> str:
    """Return a picture as sixels, six rows of pixels in a line, in the 216 colours of a 6 x 6 x 6 cube, dithered."""
    pixels, covered = strip
    thresholds = np.tile(_DITHER, (pixels.shape[0] // 8 + 1, pixels.shape[1] // 8 + 1))
    levels = (pixels / np.float32(51) + thresholds[: pixels.shape[0], : pixels.shape[1], None]).astype(np.int16)
    colours = np.where(covered, levels[:, :, 0] * 36 + levels[:, :, 1] * 6 + levels[:, :, 2], -1)
    height, width = colours.shape
    parts = [f'\x1bP0;1q"1;1;{width};{height}']  # 1: what is not drawn stays as it is
    for colour in np.unique(colours[colours >= 0]):
        red, green, blue = (int(colour) // 36 * 20, int(colour) // 6 % 6 * 20, int(colour) % 6 * 20)
        parts.append(f"#{colour};2;{red};{green};{blue}")
    for top in range(0, height, 6):
        if top:
            parts.append("-")  # only between lines: after the last one it would add an empty line of text
        band = colours[top : top + 6]
        weights = (1 << np.arange(band.shape[0]))[:, None]
        for colour in np.unique(band[band >= 0]):
            bits = ((band == colour) * weights).sum(axis=0)
            parts.append(f"#{colour}{_repeated(bits)}$")
    return "".join(parts) + "\x1b\\"


def _repeated(bits: npt.NDArray[np.int64]) -> str:
    """Return the sixels of one colour in one line; ``!`` repeats."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(bits)) + 1, [bits.size]])
    text = ""
    for start, end in pairwise(starts.tolist()):
        sixel, count = chr(63 + int(bits[start])), end - start
        text += f"!{count}{sixel}" if count > 3 else sixel * count
    return text


def _blocks(strip: Strip) -> str:
    """Return a picture in characters of which the upper half is one pixel and the lower half another one."""
    pixels, covered = strip
    lines = []
    for top in range(0, pixels.shape[0] - 1, 2):
        upper, lower = pixels[top], pixels[top + 1]
        line, before = "", ""
        for place in range(pixels.shape[1]):
            if not covered[top, place]:
                line, before = line + ("\x1b[0m " if before else " "), ""
                continue
            colour = "\x1b[38;2;{};{};{};48;2;{};{};{}m".format(*upper[place], *lower[place])
            line += "\u2580" if colour == before else f"{colour}\u2580"
            before = colour
        lines.append(f"{line}\x1b[0m")
    return "\n".join(lines)


def can_show_colours(environment: Mapping[str, str]) -> bool:
    """Return whether the terminal says that it has the colours that half blocks need."""
    return environment.get("COLORTERM", "").lower() in {"truecolor", "24bit"} and not environment.get("NO_COLOR")
