"""The value types of options, and the declaration of an option.

A value type reads a value that YAML has parsed, or the text of an environment variable, and writes it back. ``read``
raises ``ValueError`` with a cause that a person can act on.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from pytimeparse.timeparse import timeparse

_PLAIN_SECONDS = re.compile(r"\d+(\.\d+)?")
_TRUE = frozenset({"true", "yes", "on", "y", "t", "1"})
_FALSE = frozenset({"false", "no", "off", "n", "f", "0"})


@dataclass(frozen=True, slots=True)
class ValueType:
    """A type of values, with the functions that read and write them.

    Attributes:
        read: Converts YAML or text to the value in the settings; raises ``ValueError``.
        write: Converts the value in the settings to a value that YAML can hold.
    """

    read: Callable[[Any], Any]
    write: Callable[[Any], Any] = lambda value: value


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean x?`` with the most similar known name, or an empty string."""
    names = list(known)
    found = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.55)
    return f"; did you mean {found[0]}?" if found else ""


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE | _FALSE:
        return text in _TRUE
    raise ValueError(f"{value!r} is neither true nor false")


def _text(value: Any) -> str:
    if isinstance(value, bool | list | dict):
        raise ValueError(f"{_brief(value)} is not text")  # noqa: TRY004 - one kind of error for every wrong value
    return str(value)


def _brief(value: Any) -> str:
    """Return a value for a message; lists and sections by name, because YAML's own classes print badly."""
    if isinstance(value, dict):
        return "a section"
    return "a list" if isinstance(value, list) else repr(value)


def _bounds(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f"from {least} to {most}"
    return f"of {least} or more" if least is not None else f"of at most {most}"


def _within(value: float, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def integer(least: int, most: int | None = None) -> ValueType:
    """Return the type of whole numbers within bounds; text is accepted."""

    def read(value: Any) -> int:
        wanted = f"a whole number {_bounds(least, most)}"
        if isinstance(value, bool | float | list | dict):
            raise ValueError(f"{_brief(value)} is not {wanted}")  # noqa: TRY004 - as above
        try:
            number = int(str(value).strip().replace("_", ""))
        except ValueError:
            raise ValueError(f"{value!r} is not {wanted}") from None
        if not _within(number, least, most):
            raise ValueError(f"{number} is not {wanted}")
        return number

    return ValueType(read)


def number(least: float, most: float) -> ValueType:
    """Return the type of numbers within bounds; text and percentages are accepted."""

    def read(value: Any) -> float:
        wanted = f"a number {_bounds(least, most)}"
        text = str(value).strip()
        try:
            found = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            raise ValueError(f"{_brief(value)} is not {wanted}") from None
        if isinstance(value, bool) or not _within(found, least, most):
            raise ValueError(f"{_brief(value)} is not {wanted}")
        return found

    return ValueType(read)


def choice(*names: str) -> ValueType:
    """Return the type of a value that is one of some names."""

    def read(value: Any) -> str:
        text = str(value).strip().lower().replace("_", "-") if not isinstance(value, list | dict) else ""
        if text not in names:
            raise ValueError(f"{_brief(value)} is not one of {', '.join(names)}{nearest(text, names)}")
        return text

    return ValueType(read)


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b|b?)", re.IGNORECASE)
_PIXELS = re.compile(r"(\d+(?:\.\d+)?)\s*([km]?)(?:p|px|pixels)?", re.IGNORECASE)
_AREA = re.compile(r"(\d+)\s*[xX]\s*(\d+)", re.IGNORECASE)


def _bytes(value: Any) -> int:
    """Return a size in bytes; units are powers of 1024, except KB, MB, GB and TB: as in GNU's tools."""
    found = None if isinstance(value, bool | list | dict) else _SIZE.fullmatch(str(value).strip())
    if found is None:
        raise ValueError(f"{_brief(value)} is not a size such as 300k, 2M, 1.5GiB or 100 (bytes)")
    amount, prefix, unit = found.groups()
    base = 1000 if prefix and unit.lower() == "b" else 1024
    power = " kmgt".index(prefix.lower() or " ")
    return round(float(amount) * float(base) ** power)


def _bytes_words(size: int) -> int | str:
    """Return a size as it may be written: with a unit if it is a whole number of them."""
    for unit, power in (("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if size and size % 1024**power == 0:
            return f"{size // 1024**power} {unit}"
    return size


def _pixels(value: Any) -> int:
    text = "" if isinstance(value, bool | list | dict) else str(value).strip()
    area, number = _AREA.fullmatch(text), _PIXELS.fullmatch(text)
    if area is not None:
        return int(area[1]) * int(area[2])
    if number is None:
        raise ValueError(f"{_brief(value)} is not a number of pixels such as 0.3M, 640x480 or 300000")
    power = " km".index(number[2].lower() or " ")
    return round(float(number[1]) * 1000.0**power)


def many(item: ValueType) -> ValueType:
    """Return the type of lists of values; text is split at its commas, for environment variables."""

    def read(value: Any) -> tuple[Any, ...]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list | tuple):
            raise ValueError(f"{_brief(value)} is not a list")  # noqa: TRY004 - one kind of error for every wrong value
        found, causes = [], []
        for part in value:
            try:
                found.append(item.read(part))
            except ValueError as error:
                causes.append(str(error))
        if causes:
            raise ValueError("; ".join(causes))
        return tuple(dict.fromkeys(found))

    return ValueType(read, lambda value: [item.write(part) for part in value])


def _duration(value: Any) -> timedelta:
    text = str(value).strip()
    if _PLAIN_SECONDS.fullmatch(text):
        return timedelta(seconds=float(text))
    seconds = None if isinstance(value, bool | list | dict) else timeparse(text)
    if seconds is None or seconds < 0:
        raise ValueError(f"{_brief(value)} is not a duration such as 30s, 5m, 24h or 0:05:00")
    return timedelta(seconds=seconds)


def _duration_words(value: timedelta) -> str:
    seconds = value.total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0 and (unit != "d" or seconds > size):
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _path(value: Any) -> Path:
    text = _text(value)
    if not text.strip():
        raise ValueError("an empty path")
    if "\0" in text:
        raise ValueError(f"{text!r} is not a path")
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{text!r}: {error}") from None
    path = path.absolute()
    # Only `..` needs the file system: everything else stays as written, links included.
    return path.resolve() if ".." in path.parts else path


def _host(value: Any) -> str:
    text = _text(value).strip()
    if "://" in text or "/" in text or "@" in text:
        raise ValueError(f"{text!r} is not a host name or address; scheme, port and user name are separate keys")
    return text


def _directory(value: Any) -> Path:
    path = _path(value)
    if path.is_file():
        raise ValueError(f"{path} is a file, not a folder")
    return path


def _file(value: Any) -> Path:
    path = _path(value)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file")
    return path


def _pattern(value: Any) -> re.Pattern[str]:
    text = _text(value)
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None


def _extension(value: Any) -> str:
    text = _text(value).strip().lower()
    name = text.removeprefix("*").removeprefix(".")
    if not name or "/" in name or "*" in name:
        raise ValueError(f"{text!r} is not a file extension such as .jpg")
    return f".{name}"


def _command(value: Any) -> tuple[str, ...]:
    """Return a program with its arguments, from a list or from text that is split as a shell would."""
    if isinstance(value, list | tuple):
        return tuple(_text(part) for part in value)
    try:
        return tuple(shlex.split(_text(value)))
    except ValueError as error:
        raise ValueError(f"{value!r} is not a command: {error}") from None


def _web_address(value: Any) -> str:
    text = _text(value).strip()
    if not re.match(r"https?://[^/\s]", text):
        raise ValueError(f"{text!r} is not a web address such as https://hooks.example.org/photos")
    return text


BOOLEAN = ValueType(_boolean)
TEXT = ValueType(_text)
BYTES = ValueType(_bytes, _bytes_words)
PIXELS = ValueType(_pixels)
COMMAND = ValueType(_command, list)
WEB_ADDRESS = ValueType(_web_address)
DURATION = ValueType(_duration, _duration_words)
HOST = ValueType(_host)
DIRECTORY = ValueType(_directory, str)
FILE = ValueType(_file, str)
DIRECTORIES = many(DIRECTORY)
PATTERNS = many(ValueType(_pattern, lambda pattern: pattern.pattern))
SUFFIXES = many(ValueType(_extension))


@dataclass(frozen=True, slots=True)
class Option:
    """An option, as the metadata of its field holds it.

    Attributes:
        value_type: Type of the value.
        description: Meaning of the option, in one or two sentences.
        default: Value without configuration, or a function that returns it.
        example: Value for the reference, if no default is the same on every machine.
        default_words: Description of a default that is not constant.
        secret: Whether the value must not be shown.
        old_names: Key paths in older configurations; accepted with a warning.
        replaced_by: For a deprecated option, its replacement.
    """

    value_type: ValueType
    description: str
    default: Any = None
    example: Any = None
    default_words: str = ""
    secret: bool = False
    old_names: tuple[str, ...] = ()
    replaced_by: str = ""


def option(value_type: ValueType, default: Any, description: str, **more: Any) -> Any:
    """Declare an option as a field of the settings.

    Args:
        value_type: Type of the value.
        default: Value without configuration, or a function that returns it.
        description: Meaning of the option, in one or two sentences.
        more: Other attributes of ``Option``.
    """
    secret = more.get("secret", False)
    metadata = {"option": Option(value_type, description, default, **more)}
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)
