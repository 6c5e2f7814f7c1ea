"""Whether a JPEG is what encoding another file makes, block by block, to within the rounding of its coefficients.

A JPEG stores each coefficient of its blocks as a multiple of the step in its quantisation table. Encoded from another
picture of the same size, it misses no coefficient of that picture by more than half a step; whatever was drawn, damaged
or exposed anew does. So the blocks that rounding explains hold nothing that the other file lacks, and no threshold of
likeness is needed to say so. Where nearly all blocks are explained, the others were changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.align import Mask, Pixels, Plane, luma
from py_image_dedup.inspection.coefficients import CLIPPED, COSINES, SIDE, coefficients, plain_lattice
from py_image_dedup.inspection.lattice import LOSSLESS, Lattice
from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.inspection.tone import edits
from py_image_dedup.model.full_picture import FullPicture

_STRIP = 1 << 18
"""Pixels of the rows that are looked at together, so that they stay in the processor's cache."""
_SLACK = 4.0
"""Of a coefficient: the pixels of both files are whole numbers in three channels, which leaves 0.45 to 0.7 grey levels
of deviation in each coefficient of their difference, and a large photo has ten million of them."""
_NEARLY = 8.0
"""Of a coefficient beyond half a step, up to which a block is nearly explained: a change of colour space on the way
rounds once more."""
_CERTAIN = 16.0
"""Of a coefficient beyond one step and a half, from which on a block was changed: two grey levels of all its pixels."""
_LEAK = 0.2
"""Share of the coarsest step of chroma that enlarging subsampled chroma carries to other coefficients."""
_MOST_FAILED = 0.5
"""Share of blocks that are missed from which on they are not looked at one by one."""
_ALL = 0.998
"""Share of the blocks that has to be explained."""
_MOST = 0.5
"""Share of the blocks that another tone would not leave explained."""
_NEARLY_ALL = 0.9
"""Share of the blocks with structure that rounding has to nearly explain, so that the others count as changed."""
_RIM = 5
"""Blocks around a changed one, and it, that are not looked at for how the others are missed."""
_WORST, _OUTLYING = 0.999, 3.0
"""Quantile of how the other blocks are missed, and times that a changed block is: a weak edit of the whole picture
misses some blocks far, and many nearly as far."""
_MOST_OF = 0.5
"""Share of the blocks that are missed by far that has to lie beyond the others so clearly."""
_FEWEST_ACTIVE = 24
"""Blocks with structure that the share is taken of."""
_ACTIVE = 4.0
"""Grey levels of deviation from which on a block has structure."""
_LUMA_AND_CHROMA = 2
_SHARED = {"4:4:4": (1, 1), "4:2:2": (2, 1), "4:2:0": (2, 2)}
"""Pixels across and down that share one pair of chroma values."""


@dataclass(frozen=True, slots=True, eq=False)
class Reencoding:
    """How the blocks of a JPEG are explained by encoding another file.

    Attributes:
        explained: Share of the blocks that rounding explains.
        worst: By how much a coefficient is missed at most, beyond half a step.
        changed: Blocks of 8 x 8 pixels that it misses by far, where it explains nearly all the others; all false
            where it does not.
    """

    explained: float
    worst: float
    changed: Mask

    @property
    def is_whole(self) -> bool:
        """Whether all of the file is explained, but for what a rounding more leaves in a few blocks."""
        return self.explained > _ALL and self.worst <= _NEARLY

    @property
    def is_near(self) -> bool:
        """Whether most of the file is explained, and not all: it is near the other one, and was not encoded from it."""
        return self.explained > _MOST and not self.is_whole

    @property
    def is_unchanged(self) -> bool:
        """Whether nearly all of the file is explained, and no block is missed by as much as a change of it makes."""
        return self.explained > _NEARLY_ALL and self.worst <= _CERTAIN


def reencoding(file: FullPicture, source: Pixels) -> Reencoding | None:
    """Look at a JPEG as an encoding of another picture of the same size.

    Args:
        file: The JPEG, or any other file.
        source: The other picture, turned as the file is, uint8, grey or BGR.

    Returns:
        What rounding explains; ``None`` if the file is no JPEG, or differs in size, colour or kind of coding.

    Thread-safety: any number of threads.
    """
    way = _Way.of(file, source)
    return None if way is None else way.found([way.look(rows)[0] for rows in _strips(file.pixels, source)])


def reencodings(one: FullPicture, two: FullPicture) -> tuple[Reencoding | None, Reencoding | None]:
    """Look at two files of the same size as encodings of each other.

    Args:
        one: The JPEG, or any other file, that may have been made from the second.
        two: The file that may have been made from the first.

    Returns:
        What rounding explains of the first as an encoding of the second, as of ``reencoding``, and the other way round;
        the second one ``None`` as well where the first is whole.
    """
    forth, back = _Way.of(one, two.pixels), _Way.of(two, one.pixels)
    if forth is None or back is None or forth.shared != back.shared or one.pixels.ndim != two.pixels.ndim:
        its = reencoding(one, two.pixels)
        return its, None if its is not None and its.is_whole else reencoding(two, one.pixels)
    # The errors are the same but for their sign. Until the first is known not to be whole, the second is not looked at.
    before: list[tuple[Pixels, Pixels]] = []
    its_strips, strips = [], []
    is_whole = True
    for rows in _strips(one.pixels, two.pixels):
        strip, size = forth.look(rows)
        its_strips.append(strip)
        is_whole = is_whole and float(strip.missed.by.max()) <= _NEARLY
        if is_whole:
            before.append(rows[::-1])
        else:
            strips.append(back.turned(strip, size, rows))
    found = forth.found(its_strips)
    if found.is_whole:
        return found, None
    return found, back.found([*(back.look(rows)[0] for rows in before), *strips])


@dataclass(frozen=True, slots=True, eq=False)
class _Strip:
    """Some rows of a picture, looked at as an encoding of the same rows of another one.

    Attributes:
        missed: Blocks of luma.
        chroma: Two planes of chroma of both pictures as they are stored; none of grey ones.
    """

    missed: _Missed
    chroma: list[tuple[Pixels, Pixels]]


@dataclass(frozen=True, slots=True, eq=False)
class _Way:
    """A file that is looked at as an encoding of another one.

    Attributes:
        pixels: Of the file.
        steps: Of its luma, and of its chroma.
        shared: Pixels across and down that share one pair of chroma values.
    """

    pixels: Pixels
    steps: list[Plane]
    shared: tuple[int, int]

    @staticmethod
    def of(file: FullPicture, source: Pixels) -> _Way | None:
        """Return the way; ``None`` if the file is no JPEG, or differs in size, colour or kind of coding."""
        steps = _steps(file)
        if not steps or source.shape[:2] != file.pixels.shape[:2] or min(source.shape[:2]) < 2 * SIDE:
            return None
        if file.pixels.ndim == 3 and source.ndim == 2:
            return None
        shared = _SHARED.get(file.subsampling, (1, 1)) if file.pixels.ndim == 3 else (1, 1)
        return _Way(file.pixels, steps, shared)

    def look(self, rows: tuple[Pixels, Pixels]) -> tuple[_Strip, Plane]:
        """Look at some rows of the file and of the source; the errors of luma are returned beside, without signs."""
        grey, *chroma = _planes(*rows, self.shared)
        size = coefficients(np.asarray(cv2.subtract(*grey, dtype=cv2.CV_32F), dtype=np.float32))
        np.abs(size, out=size)
        return _Strip(_missed(size, *rows, self.steps[0], 0.0), chroma), size

    def turned(self, strip: _Strip, size: Plane, rows: tuple[Pixels, Pixels]) -> _Strip:
        """Look at some rows of the source and of the file that were looked at the other way round."""
        seen, wanted = rows[::-1]
        chroma = [(two, one) for one, two in strip.chroma]
        return _Strip(_missed(size, seen, wanted, self.steps[0], 0.0), chroma)

    def found(self, strips: list[_Strip]) -> Reencoding:
        """Return what rounding explains of all strips."""
        missed = _Missed.joined([strip.missed for strip in strips])
        for channel in range(len(strips[0].chroma)):
            planes = [np.concatenate([strip.chroma[channel][side] for strip in strips]) for side in range(2)]
            missed.add(_of_chroma(planes, self.steps[-1], self.shared), self.shared)
        return Reencoding(float((missed.by <= 0).mean()), float(missed.by.max()), _changed(missed, self.pixels))


@dataclass(frozen=True, slots=True, eq=False)
class Edited:
    """An edit of the whole of a picture, as which another file is explained best.

    Attributes:
        words: What was done.
        pixels: The edited picture.
        found: How the file is explained as an encoding of it.
        lattice: How the file's coefficients are met; ``None`` if it is no JPEG, or too few tell.
        removes: Whether small things vanish in such an edit.
    """

    words: str
    pixels: Pixels
    found: Reencoding
    lattice: Lattice | None
    removes: bool

    @property
    def is_all(self) -> bool:
        """Whether the file is this edit of the source: what was encoded is explained, and noise of its own is not."""
        is_met = self.lattice is None or self.lattice.wide < THRESHOLDS.foreseen_by_neither
        return self.found.is_whole or (self.found.is_unchanged and is_met)

    @property
    def is_likely(self) -> bool:
        """Whether the file may be compared with this edit instead of the source."""
        return not self.removes or self.found.explained > _NEARLY_ALL


def edited(file: FullPicture, source: Pixels) -> Edited | None:
    """Look at a file as an encoding of another picture that was edited as a whole.

    Args:
        file: A JPEG, or a file without loss or with a palette.
        source: The other picture, turned as the file is, of the same size, uint8, grey or BGR.

    Returns:
        The edit that explains most; ``None`` if none explains more of a part of the file than the source does.

    Thread-safety: any number of threads.
    """
    if file.mode in {"P", "PA"} or file.format == "GIF":
        file = replace(file, format="PNG")
    height, width = file.pixels.shape[:2]
    if source.shape[:2] != (height, width) or not _steps(file) or min(height, width) < 2 * _PART_MARGIN:
        return None
    part = tuple(_part(length) for length in (height, width))
    seen = replace(file, pixels=np.ascontiguousarray(file.pixels[part]))
    plain = reencoding(seen, np.ascontiguousarray(source[part]))
    most, best = 0.0 if plain is None else plain.explained, None
    around = tuple(slice(max(0, piece.start - _PART_MARGIN), piece.stop + _PART_MARGIN) for piece in part)
    inner = tuple(
        slice(piece.start - wide.start, piece.stop - wide.start) for piece, wide in zip(part, around, strict=True)
    )
    some = np.ascontiguousarray(source[around])
    for edit in edits(source, file.pixels):
        found = reencoding(seen, np.ascontiguousarray(edit.apply(some)[inner]))
        if found is not None and found.explained > most:
            most, best = found.explained, edit
    if best is None:
        return None
    made = best.apply(source)
    whole = reencoding(file, made)
    return None if whole is None else Edited(best.words, made, whole, plain_lattice(file, made), best.removes)


_PART, _PART_MARGIN = 256, 16
"""Side of the part in the middle that edits are tried on, pixels, and what filters see around it."""


def _part(length: int) -> slice:
    size = min(_PART, length // (2 * SIDE) * (2 * SIDE))
    start = (length - size) // 2 // (2 * SIDE) * (2 * SIDE)
    return slice(start, start + size)


def _steps(file: FullPicture) -> list[Plane]:
    """Return the steps of luma, and of chroma, of a file; a lossless file stores whole numbers."""
    tables = file.quantisation
    if file.alpha is not None or file.is_cmyk:
        return []
    if file.format in LOSSLESS:
        return [np.ones((SIDE, SIDE), dtype=np.float32)]
    known = file.format in {"JPEG", "MPO"} and 1 <= len(tables) <= _LUMA_AND_CHROMA
    if not known or (file.pixels.ndim == 3 and file.subsampling not in _SHARED):
        return []
    return [np.array(table, dtype=np.float32).reshape(SIDE, SIDE) for table in tables]


@dataclass(frozen=True, slots=True, eq=False)
class _Missed:
    """Blocks of 8 x 8 pixels, and how they are missed.

    Attributes:
        by: By how much the worst coefficient is missed beyond half a step; 0 or less is explained.
        far: Whether one is missed by so much that the block was changed.
    """

    by: Plane
    far: Mask

    @staticmethod
    def joined(parts: list[_Missed]) -> _Missed:
        return _Missed(np.concatenate([part.by for part in parts]), np.concatenate([part.far for part in parts]))

    def add(self, chroma: _Missed, shared: tuple[int, int]) -> None:
        """Count blocks of chroma to the blocks that they colour."""
        rows, columns = self.by.shape
        for mine, its in ((self.by, chroma.by), (self.far, chroma.far)):
            spread = np.repeat(np.repeat(its, shared[1], axis=0), shared[0], axis=1)
            np.maximum(mine, spread[:rows, :columns], out=mine)


def _changed(missed: _Missed, pixels: Pixels) -> Mask:
    """Return the blocks that were changed: far beyond what even the worst of the others are missed by."""
    nothing = np.zeros_like(missed.far)
    if not missed.far.any():
        return nothing
    active = _active(pixels, missed.far.shape)
    if np.count_nonzero(active) < _FEWEST_ACTIVE or (missed.by[active] <= _NEARLY).mean() < _NEARLY_ALL:
        return nothing
    around = cv2.dilate(missed.far.astype(np.uint8), np.ones((_RIM, _RIM), np.uint8)) > 0
    if np.count_nonzero(active & ~around) < _FEWEST_ACTIVE:
        return nothing
    usual = max(float(np.quantile(missed.by[others], _WORST)) for others in (active & ~around, ~around))
    changed = np.asarray(missed.far & (missed.by > _OUTLYING * usual), dtype=np.bool_)
    return changed if np.count_nonzero(changed) > _MOST_OF * np.count_nonzero(missed.far) else nothing


def _strips(one: Pixels, two: Pixels) -> Iterator[tuple[Pixels, Pixels]]:
    """Yield the same rows of two pictures, whole blocks of chroma but for the last ones."""
    rows = max(1, _STRIP // one.shape[1] // (2 * SIDE)) * 2 * SIDE
    for top in range(0, len(one), rows):
        yield one[top : top + rows], two[top : top + rows]


def _planes(seen: Pixels, wanted: Pixels, shared: tuple[int, int]) -> list[tuple[Pixels, Pixels]]:
    """Return luma, and chroma as it is stored, of the same rows of two pictures, filled up to whole blocks."""
    if seen.ndim == 2:
        return [_whole_blocks(seen, luma(wanted))]
    split = (cv2.split(cv2.cvtColor(pixels, cv2.COLOR_BGR2YCrCb)) for pixels in (seen, wanted))
    grey, *chroma = (_pair(*planes) for planes in zip(*split, strict=True))
    return [_whole_blocks(*grey), *(_whole_blocks(*_reduced(planes, shared)) for planes in chroma)]


def _pair(one: object, two: object) -> tuple[Pixels, Pixels]:
    return np.asarray(one, dtype=np.uint8), np.asarray(two, dtype=np.uint8)


def _reduced(planes: tuple[Pixels, Pixels], shared: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Return the means of the pixels that share a value of chroma."""
    if shared == (1, 1):
        return planes
    height, width = planes[0].shape
    whole = _extended(*planes, -height % shared[1], -width % shared[0])
    size = (whole[0].shape[1] // shared[0], whole[0].shape[0] // shared[1])
    return _pair(*(cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in whole))


def _whole_blocks(seen: Pixels, wanted: Pixels) -> tuple[Pixels, Pixels]:
    return _extended(seen, wanted, -seen.shape[0] % SIDE, -seen.shape[1] % SIDE)


def _extended(seen: Pixels, wanted: Pixels, down: int, across: int) -> tuple[Pixels, Pixels]:
    """Fill both up with their last rows and columns as encoders do; what was filled in is known of the source only."""
    if not (down or across):
        return seen, wanted
    height, width = seen.shape[:2]
    one, two = _filled(seen, down, across), _filled(wanted, down, across)
    one[height:], one[:, width:] = two[height:], two[:, width:]
    return one, two


def _filled(plane: Pixels, below: int, across: int) -> Pixels:
    filled = cv2.copyMakeBorder(plane, 0, below, 0, across, cv2.BORDER_REPLICATE)
    return np.asarray(filled, dtype=np.uint8)


def _of_chroma(planes: list[Pixels], steps: Plane, shared: tuple[int, int]) -> _Missed:
    """Return how blocks of chroma are missed."""
    seen, wanted = planes
    if shared != (1, 1):
        # Decoders enlarge chroma by interpolating; its mean over the pixels that share it is then this much smoothed.
        across, down = (np.array([1, 6, 1] if count > 1 else [0, 8, 0], dtype=np.float64) / 8 for count in shared)
        smooth = cv2.sepFilter2D(wanted, cv2.CV_8U, across, down, borderType=cv2.BORDER_REPLICATE)
        wanted = np.asarray(smooth, dtype=np.uint8)
    leak = 0.0 if shared == (1, 1) else _LEAK * float(steps.max())
    parts = []
    for one, two in _strips(seen, wanted):
        size = coefficients(np.asarray(cv2.subtract(one, two, dtype=cv2.CV_32F), dtype=np.float32))
        parts.append(_missed(np.abs(size, out=size), one, two, steps, leak))
    return _Missed.joined(parts)


def _missed(size: Plane, seen: Pixels, wanted: Pixels, steps: Plane, leak: float) -> _Missed:
    """Compare the coefficients of an error, without their signs, with what rounding leaves.

    Args:
        size: Of the error's coefficients, of luma or of a plane of chroma, as ``coefficients`` returns them.
        seen: The JPEG's picture there, grey or BGR, or its plane of chroma.
        wanted: The same of the other picture.
        steps: Of the quantisation table, 8 x 8.
        leak: What a coefficient may be missed by beside that.
    """
    rows, _, columns, _ = size.shape
    bound = steps / 2 + np.float32(_SLACK + leak)
    over = size.reshape(rows, SIDE, -1) - np.tile(bound, columns)
    by = over.max(axis=1)
    while by.shape[1] > columns:
        by = np.maximum(by[:, ::2], by[:, 1::2])
    far = np.zeros(by.shape, dtype=np.bool_)
    places = np.nonzero(by > 0)
    if not len(places[0]):
        return _Missed(by, far)
    far[places] = (size[places[0], :, places[1]] - 1.5 * steps).max(axis=(1, 2)) > _CERTAIN + leak
    if len(places[0]) <= _MOST_FAILED * by.size:
        forgiven = _is_clipped(*_at(seen, wanted, places), steps)
        by[places] = np.where(forgiven, np.float32(0), by[places])
        far[places] &= ~forgiven
    return _Missed(by, far)


def _at(seen: Pixels, wanted: Pixels, places: tuple[npt.NDArray[np.intp], ...]) -> tuple[list[Plane], list[Plane]]:
    """Return the planes of some blocks of two pictures, each of shape ``(blocks, 8, 8)``: luma, and chroma if any."""
    reach = np.arange(SIDE)
    rows, columns = ((place[:, None] * SIDE + reach) for place in places)
    last_row, last_column = seen.shape[0] - 1, seen.shape[1] - 1
    # What was filled in is known of the source only.
    beyond = (rows > last_row)[:, :, None] | (columns > last_column)[:, None, :]
    at = np.minimum(rows, last_row)[:, :, None], np.minimum(columns, last_column)[:, None, :]
    its = wanted if wanted.ndim == seen.ndim else luma(wanted)
    blocks = [seen[at], its[at]]
    if beyond.any():
        blocks[0][beyond] = blocks[1][beyond]
    found = []
    for block in blocks:
        flat = block.reshape(-1, SIDE, *block.shape[3:])
        planes = [flat] if flat.ndim == 2 else cv2.split(cv2.cvtColor(flat, cv2.COLOR_BGR2YCrCb))
        found.append([np.asarray(plane, dtype=np.float32).reshape(-1, SIDE, SIDE) for plane in planes])
    return found[0], found[1]


def _is_clipped(seen: list[Plane], wanted: list[Plane], steps: Plane) -> Mask:
    """Return which blocks are explained by rounding and clipping.

    Clipping takes a decoded block nearer to what was encoded, but not coefficient by coefficient: as a whole it may be
    away by as much as the rounding of this very block was. Where a channel is clipped, rounding of chroma counts too.
    """
    known = COSINES @ (wanted[0] - 128) @ COSINES.T
    lost = np.square(known - np.rint(known / steps) * steps).sum(axis=(1, 2))
    away = np.square(seen[0] - wanted[0]).sum(axis=(1, 2))
    low, high = CLIPPED
    channels = [seen[0]]
    if len(seen) > 1:
        luma_of, red, blue = seen[0], seen[1] - 128, seen[2] - 128
        channels += [luma_of + 1.402 * red, luma_of + 1.772 * blue, luma_of - 0.714 * red - 0.344 * blue]
        lost = lost + sum(np.square(one - two).sum(axis=(1, 2)) for one, two in zip(seen[1:], wanted[1:], strict=True))
    clipped = np.stack([((channel <= low) | (channel >= high)).any(axis=(1, 2)) for channel in channels]).any(axis=0)
    return np.asarray(clipped & (away <= lost + SIDE**2), dtype=np.bool_)


def _active(pixels: Pixels, shape: tuple[int, ...]) -> Mask:
    """Return the blocks that have structure."""
    side = SIDE // 2
    grey = np.ascontiguousarray(luma(pixels)[::2, ::2])
    few = _filled(grey, shape[0] * side - grey.shape[0], shape[1] * side - grey.shape[1]).astype(np.float32)
    mean, square = (cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_AREA) for plane in (few, few * few))
    return np.asarray(square - mean * mean > _ACTIVE**2, dtype=np.bool_)
