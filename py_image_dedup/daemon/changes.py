"""What watchdog tells: events become changes, and a line in its log is the sign of events that were lost."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

from watchdog.events import FileSystemEvent, FileSystemEventHandler

_KINDS = {
    "created": "created",
    "modified": "modified",
    "attrib": "modified",  # another time is another stamp: the index would not know the file any more
    "closed": "modified",
    "moved": "moved",
    "deleted": "deleted",
}
_OVERFLOW_WORDS = "queue overflowed"


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed at a path.

    Attributes:
        raw_path: Absolute.
        folder: The path is, or was, a folder: everything below it has changed.
    """

    raw_path: bytes
    folder: bool = False


class ChangeListener(FileSystemEventHandler):
    """Turns watchdog's events into changes; what only looks at a file (opening, reading) is none."""

    def __init__(self, changed: Callable[[str, Change], None]) -> None:
        self._changed = changed

    def on_any_event(self, event: FileSystemEvent) -> None:
        """See ``FileSystemEventHandler``."""
        kind = _KINDS.get(event.event_type)
        if kind is None or (event.is_directory and kind == "modified"):
            return
        for path in (event.src_path, event.dest_path):
            if path:
                self._changed(kind, Change(os.fsencode(path), event.is_directory))


class OverflowListener(logging.Handler):
    """Hears the only sign that watchdog gives of dropped events: a line in its log."""

    def __init__(self, heard: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        if _OVERFLOW_WORDS in record.msg and "events were lost" in record.msg:
            self._heard()
