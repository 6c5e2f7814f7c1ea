"""Notifications: after a run of the daemon that did something, a command or a web address gets a summary as JSON."""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import threading
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.report.result_records import totals_of
from py_image_dedup.report.text import readable

if TYPE_CHECKING:
    from pathlib import Path

    from py_image_dedup.config.settings import NotifySettings
    from py_image_dedup.model.result import RunResult

_LOG = logging.getLogger(__name__)

VERSION: Final = 1
"""Version of the summary."""
_WAITING: Final = 100
"""Summaries that wait while a command or a server is slow; further ones are dropped."""
_LISTED: Final = 20
"""Files that a summary lists."""


class Notifier:
    """Sends summaries one after the other from a thread of its own, so that the daemon never waits for them.

    Args:
        settings: The command and the address; a run without actions and without an error is not reported.
    """

    def __init__(self, settings: NotifySettings) -> None:
        self._settings = settings
        self._waiting: queue.Queue[bytes] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None

    def __call__(self, result: RunResult, *, full: bool) -> None:
        """Report a run."""
        is_wanted = self._settings.command or self._settings.url
        if not is_wanted or not (result.outcomes or result.error):
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_all, name="notify", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(json.dumps(summary_of(result, full=full)).encode())
        except queue.Full:
            _LOG.warning("a notification was dropped: %d are waiting for notify.command or notify.url", _WAITING)

    def wait(self) -> None:
        """Wait until all summaries were sent or failed; for tests and the end of a program."""
        self._waiting.join()

    def _send_all(self) -> None:
        while True:
            summary = self._waiting.get()
            try:
                self._send(summary)
            finally:
                self._waiting.task_done()

    def _send(self, summary: bytes) -> None:
        settings, seconds = self._settings, self._settings.timeout.total_seconds()
        if settings.command:
            try:
                done = subprocess.run(  # noqa: S603 - the user's own command
                    settings.command, input=summary, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                    timeout=seconds, check=False,
                )  # fmt: skip
            except (OSError, subprocess.SubprocessError) as error:
                _LOG.warning("notify.command failed: %s", readable(str(error)))
            else:
                if done.returncode:
                    words = readable(done.stderr.decode(errors="replace").strip()[-500:])
                    _LOG.warning("notify.command ended with %d: %s", done.returncode, words)
        if settings.url:
            request = urllib.request.Request(  # noqa: S310 - the scheme is checked when the settings are read
                settings.url, summary, {"Content-Type": "application/json", "User-Agent": "py-image-dedup"}
            )
            try:
                urllib.request.urlopen(request, timeout=seconds).close()  # noqa: S310 - as above
            except (OSError, ValueError) as error:
                _LOG.warning("notify.url could not be reached: %s", readable(str(error)))


def _text(path: Path) -> str:
    """Return a path as text; bytes that are not UTF-8 are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")


def summary_of(result: RunResult, *, full: bool) -> dict[str, Any]:
    """Return the summary of a run, which ``docs/daemon.md`` describes.

    Args:
        result: The result of the run.
        full: Whether it was a full run, not a batch of new files.
    """
    totals = totals_of(result)
    counts = Counter(each.status for each in result.outcomes)
    done, failed = counts[OutcomeStatus.DONE], counts[OutcomeStatus.FAILED] + counts[OutcomeStatus.SKIPPED]
    verb = "would be removed" if result.dry_run else "were removed"
    number = counts[OutcomeStatus.PLANNED] if result.dry_run else done
    words = f"{number:,} duplicates {verb}" + (f", {failed:,} were not" if failed else "")
    return {
        "version": VERSION,
        "text": f"py-image-dedup: {result.error or words}",
        "run": result.run,
        "full": full,
        "dry_run": result.dry_run,
        "error": result.error,
        "files": totals.files,
        "groups": totals.groups,
        "redundant": totals.redundant,
        "removed": done,
        "not_removed": failed,
        "planned": counts[OutcomeStatus.PLANNED],
        "bytes": totals.bytes_reclaimable,
        "unreadable": len(result.failures),
        "actions": [
            {"path": _text(each.action.source.path), "action": each.action.kind.value, "outcome": each.status.value}
            for each in result.outcomes[:_LISTED]
        ],
    }
