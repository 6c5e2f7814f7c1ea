"""What a caller gives to be searched: folders, files, lists of them, and pictures in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt


@runtime_checkable
class SavesItself(Protocol):
    """A picture that can write itself, such as ``PIL.Image.Image``."""

    def save(self, fp: Any, format: str, **options: Any) -> None:  # noqa: A002 - the name is Pillow's
        """Write the picture to a stream."""


Array: TypeAlias = npt.NDArray[Any]

Image: TypeAlias = "str | os.PathLike[str] | bytes | Array | SavesItself"
"""A picture: a path, the bytes of a file, an array (uint8; grey, RGB or RGBA), or an image of Pillow."""

Source: TypeAlias = "str | os.PathLike[str] | Iterable[Source | tuple[str, Image]]"
"""A folder, a file, or an iterable of these and of ``(name, image)`` pairs, which may be a generator."""

_CHANNELS = {2: "P5", 3: "P6"}


@dataclass(frozen=True, slots=True)
class Gathered:
    """Sources, sorted.

    Attributes:
        folders: Absolute folders.
        files: Absolute files.
        names: Names of pictures in memory, by the files that they were written to.
    """

    folders: tuple[Path, ...]
    files: tuple[Path, ...]
    names: Mapping[Path, str]


def gather(sources: Iterable[Source], spill: Path) -> Gathered:
    """Sort sources; pictures in memory are written to files one by one, so that a generator needs little memory.

    Args:
        sources: The sources.
        spill: Existing folder for pictures in memory; it is filled without loss.

    Raises:
        FileNotFoundError: There is no such folder or file.
        TypeError: A source is none of these.
        ValueError: An array is not a picture.
    """
    folders: list[Path] = []
    files: list[Path] = []
    names: dict[Path, str] = {}
    for found in _flat(sources):
        if isinstance(found, tuple):
            name, image = found
            path = write_image(image, spill / f"{len(names):08}", Path(name).suffix)
            names[path] = name
            files.append(path)
        elif found.is_dir():
            folders.append(found)
        elif found.exists():
            files.append(found)
        else:
            raise FileNotFoundError(f"{found} does not exist")
    return Gathered(tuple(folders), tuple(files), names)


def _flat(sources: Iterable[Any]) -> Iterator[Path | tuple[str, Image]]:
    for source in sources:
        if isinstance(source, str | os.PathLike):
            yield Path(os.path.abspath(source))  # noqa: PTH100 - keeps links, drops ".."
        elif isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], str) and _is_image(source[1]):
            yield source[0], source[1]
        elif isinstance(source, Iterable) and not isinstance(source, bytes | np.ndarray):
            yield from _flat(source)
        else:
            raise TypeError(f"a source is a folder, a file, an iterable of them or (name, image), not {type(source)}")


def _is_image(found: object) -> bool:
    """Return whether the second part of a pair is a picture in memory, and not a second path."""
    return isinstance(found, bytes | np.ndarray | SavesItself)


def write_image(image: Image, stem: Path, suffix: str = "") -> Path:
    """Write a picture to a file without loss.

    Args:
        image: The picture; a path is returned as it is.
        stem: Path of the new file, without its extension.
        suffix: Extension for the bytes of a file.

    Raises:
        TypeError: The picture is none of the known kinds.
        ValueError: The array is not uint8 with 1, 3 or 4 channels.
    """
    if isinstance(image, str | os.PathLike):
        return Path(os.path.abspath(image))  # noqa: PTH100 - as above
    if isinstance(image, bytes):
        path = stem.with_suffix(suffix or ".bytes")
        path.write_bytes(image)
    elif isinstance(image, np.ndarray):
        path = stem.with_suffix(".png" if image.ndim == 3 and image.shape[2] == 4 else ".pnm")
        path.write_bytes(_encoded(image))
    elif isinstance(image, SavesItself):
        path = stem.with_suffix(".png")
        stream = BytesIO()
        image.save(stream, format="PNG", compress_level=1)
        path.write_bytes(stream.getvalue())
    else:
        raise TypeError(f"a picture is a path, bytes, an array or an image of Pillow, not {type(image)}")
    return path


def _encoded(array: Array) -> bytes:
    """Return an array as a PNM file, or as PNG where it has transparency."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4) or not array.size:
        shape = f"{array.dtype} {array.shape}"
        raise ValueError(f"a picture is uint8 of shape (height, width) or (height, width, 3 or 4), not {shape}")
    if channels == 4:
        # Not at the top: it loads OpenCV.
        import cv2

        return bytes(cv2.imencode(".png", cv2.cvtColor(array, cv2.COLOR_RGBA2BGRA))[1])
    height, width = array.shape[:2]
    return f"{_CHANNELS[array.ndim]}\n{width} {height}\n255\n".encode() + np.ascontiguousarray(array).tobytes()
