"""``journal.jsonl``: what a run is about to do and what it did, written before and after. See ``docs/formats.md``.

A line that was written survives a killed process; a line that was flushed survives a power failure. Intents are flushed
before anything is done; an outcome that is lost is found again by looking at the disk (``removal.recovery``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

from py_image_dedup.model.plan import Action, Outcome, Plan
from py_image_dedup.removal.durable import fsync
from py_image_dedup.removal.file_metadata import FileFacts
from py_image_dedup.removal.serialization import Json, action_to_json, facts_to_json, path_to_json

JOURNAL_VERSION: Final = 1
"""Of the format. A reader refuses a newer one."""

JOURNAL_NAME: Final = "journal.jsonl"
"""Of the file in a run's folder."""

Step: TypeAlias = Callable[[str], None]
"""Is told each step before and after it is taken, by name; tests interrupt there."""


def no_step(name: str, /) -> None:
    """Take no notice."""


class JournalError(Exception):
    """The journal cannot be written or read; the message names it and the cause. Nothing more may be done."""


class Journal:
    """Appends to the journal of one run. One thread at a time.

    Args:
        run_directory: The folder of the run; made if it is not there.
        run: Its name.
        roots: What is searched, and below what a file's folders may not be links.
        target_directory: The same for what is moved.

    Raises:
        JournalError: It cannot be opened.
    """

    def __init__(
        self, run_directory: Path, run: str, roots: Sequence[Path] = (), target_directory: Path | None = None
    ) -> None:
        self.path = run_directory / JOURNAL_NAME
        try:
            run_directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._error(error) from error
        try:
            self._torn = self._ends_torn()
            self._write(
                {
                    "kind": "opened",
                    "version": JOURNAL_VERSION,
                    "run": run,
                    "at": now(),
                    "roots": [path_to_json(root) for root in roots],
                    "target_directory": None if target_directory is None else path_to_json(target_directory),
                }
            )
            self._flush_names(run_directory)
        except BaseException:
            os.close(self._descriptor)
            raise

    @classmethod
    def of(cls, plan: Plan, run_directory: Path) -> Journal:
        """Open the journal of a plan's run."""
        return cls(run_directory, plan.run, plan.roots, plan.target_directory)

    def intend(self, action: Action, facts: FileFacts, new_folders: Sequence[Path]) -> None:
        """Tell what will be done with a file and what it has besides its bytes.

        Args:
            action: What.
            facts: Of the source, now.
            new_folders: Folders that will be made for its target, outermost first.
        """
        record: Json = {
            "kind": "intent",
            "number": action.number,
            "action": action_to_json(action),
            "facts": facts_to_json(facts),
        }
        if new_folders:
            record["new_folders"] = [path_to_json(folder) for folder in new_folders]
        self._write(record)

    def tell(self, outcome: Outcome, kind: str = "outcome") -> None:
        """Tell what became of an action; with the kind ``undone``, of its undoing."""
        self._write(
            {
                "kind": kind,
                "number": outcome.action.number,
                "status": outcome.status.value,
                "source": path_to_json(outcome.action.source.path),
                "target": None if outcome.target is None else path_to_json(outcome.target),
                "message": outcome.message,
                "at": now(),
            }
        )

    def mark(self, kind: str, number: int) -> None:
        """Tell of an action that something begins or is over: ``undo``, ``expire``, ``expired``, ``waits``."""
        self._write({"kind": kind, "number": number, "at": now()})

    def folder(self, kind: str, path: Path, facts: FileFacts | None = None) -> None:
        """Tell of a folder: ``folder`` (seen before it was touched), ``prune``, ``pruned``, ``kept``, ``restored``."""
        facts_form: Json = {} if facts is None else {"facts": facts_to_json(facts)}
        self._write({"kind": kind, **path_to_json(path), **facts_form})

    def flush(self) -> None:
        """Wait until every line is on the disk.

        Raises:
            JournalError: The disk did not take them.
        """
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _write(self, record: Json) -> None:
        # backslashreplace writes a name's surrogate escapes as JSON does, so that every message can be written
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"
        if self._torn:
            line = b"\n" + line
        try:
            while line:
                written = os.write(self._descriptor, line)
                self._torn = written < len(line)
                line = line[written:]
        except OSError as error:
            raise self._error(error) from error

    def _ends_torn(self) -> bool:
        size = os.fstat(self._descriptor).st_size
        return size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"

    def _flush_names(self, run_directory: Path) -> None:
        """The file and its folder must be found again after a power failure."""
        for folder in (run_directory, run_directory.parent):
            try:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    fsync(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise self._error(error) from error

    def _error(self, error: OSError) -> JournalError:
        return JournalError(
            f"the journal {self.path} cannot be written ({error.strerror or error}), and without it nothing is done; "
            "make room there or choose another state directory"
        )


def now() -> str:
    """Return the time, UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
