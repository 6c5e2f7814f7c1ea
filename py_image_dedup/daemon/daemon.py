"""The daemon as a process: it builds the service from the settings and handles signals."""

from __future__ import annotations

import errno
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from py_image_dedup.config import ConfigError, Settings
from py_image_dedup.daemon.debounce import Debouncer
from py_image_dedup.daemon.notify import Notifier
from py_image_dedup.daemon.runner import LibraryRunner
from py_image_dedup.daemon.service import Service, Timing
from py_image_dedup.daemon.watcher import Watcher
from py_image_dedup.metrics.instruments import Instruments
from py_image_dedup.metrics.observer import MetricsObserver
from py_image_dedup.metrics.server import MetricsServer
from py_image_dedup.model.events import Event
from py_image_dedup.model.file import Stamp
from py_image_dedup.model.result import RunResult
from py_image_dedup.report.text import readable
from py_image_dedup.wiring import build, build_store, options_of, roots_of, runs_directory

if TYPE_CHECKING:
    from py_image_dedup.daemon.review import ReviewPage

_LOG = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds to wait for an index that does not answer; then the loop reports it, can be stopped, and tries again."""
_GRACE = 8.0
"""Seconds that the current work may take to end after a signal."""


class DaemonError(Exception):
    """An error that prevents the daemon from starting; the message says why and what to do."""


class Daemon:
    """The daemon, which runs until a signal stops it.

    SIGTERM and SIGINT stop it after the current file, and within ten seconds. SIGHUP reloads the settings; invalid
    settings are logged and the old ones stay in force.

    Args:
        load: Loads the settings.
        version: Version of the program, for the metrics.
        keep: Saves the result of a run that planned or did something.
    """

    def __init__(
        self, load: Callable[[], Settings], version: str, keep: Callable[[RunResult, Settings], object]
    ) -> None:
        self._load = load
        self._keep = keep
        self._instruments = Instruments(version)
        self._metrics = MetricsObserver(self._instruments)
        self._service: Service | None = None
        self._page: ReviewPage | None = None
        self._notifier: Notifier | None = None
        self._ending = False
        self._forced_exit = ForcedExit(_GRACE)

    def run(self) -> None:
        """Run until a signal stops the daemon.

        Raises:
            ConfigError: The settings are invalid at the start.
            DaemonError: There is no folder to watch, or the address of the HTTP server is in use.
        """
        settings = self._load()
        with self._signals(), self._forced_exit:
            while not self._ending:
                self._serve(settings)
                if not self._ending:
                    settings = self._load_again(settings)

    def _load_again(self, settings: Settings) -> Settings:
        try:
            again = self._load()
        except ConfigError as error:
            for problem in error.problems:
                _LOG.error("the new configuration is not used: %s", readable(str(problem)))
            return settings
        _LOG.info("configuration reloaded")
        return again

    def _serve(self, settings: Settings) -> None:
        roots, selector = roots_of(settings), options_of(settings).walked
        if not roots:
            raise DaemonError("there is no folder to watch: set analysis.source_directories, or give a ROOT")
        runner = LibraryRunner(
            roots,
            selector,
            open_store=lambda: build_store(settings, patience_seconds=_PATIENCE),
            make=lambda store: build(
                settings,
                store,
                observer=self._observe,
                should_stop=lambda: service.stopping,
                leaves_restored=True,
            ),
            dry_run=settings.dry_run,
            observer=self._metrics,
            keep=lambda result: self._keep(result, settings),
            runs_directory=runs_directory(settings),
            publish=self._publish,
        )
        daemon = settings.daemon
        service = Service(
            runner,
            Debouncer(daemon.processing_timeout.total_seconds(), clock=time.monotonic, look=look),
            lambda changed, missed: Watcher(
                [root.path for root in roots],
                polling=daemon.file_observer == "polling",
                recursive=selector.recursive,
                on_change=changed,
                on_gap=missed,
                observer=self._metrics,
                clock=time.monotonic,
            ),
            timing=Timing(full_run_interval=daemon.full_run_interval.total_seconds()),
            observer=self._metrics,
        )
        self._service = service
        self._notifier = Notifier(settings.notify)
        _LOG.info(
            "watching %s%s",
            ", ".join(readable(root.path) for root in roots),
            " (dry run: nothing is removed)" if settings.dry_run else "",
        )
        try:
            with self._pages(settings, service), self._review_page(settings):
                service.run()
        finally:
            self._service = None
            runner.close()

    def _observe(self, event: Event, /) -> None:
        if self._service is not None:
            self._service.heartbeat(event)
        self._metrics(event)

    @contextmanager
    def _pages(self, settings: Settings, service: Service) -> Iterator[None]:
        stats = settings.stats
        if not stats.enabled:
            yield
            return
        try:
            server = MetricsServer(
                stats.address, stats.port, self._instruments.registry, alive=service.alive, ready=service.ready
            )
        except OSError as error:
            why = "another program uses it" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
            raise DaemonError(
                f"the metrics cannot be served on {stats.address}:{stats.port}: {why}; "
                "set stats.address and stats.port, or stats.enabled: false"
            ) from error
        try:
            yield
        finally:
            server.close()

    @contextmanager
    def _review_page(self, settings: Settings) -> Iterator[None]:
        if not settings.review.enabled:
            yield
            return
        from py_image_dedup.daemon.review import ReviewPage, ReviewPageError

        try:
            page = ReviewPage(settings)
        except ReviewPageError as error:
            raise DaemonError(str(error)) from error
        self._page = page
        try:
            yield
        finally:
            self._page = None
            page.close()

    def _publish(self, result: RunResult, *, full: bool) -> None:
        if self._notifier is not None:
            self._notifier(result, full=full)
        if self._page is not None:
            self._page.publish(result, full=full)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        handled = {signal.SIGTERM: self._end, signal.SIGINT: self._end, signal.SIGHUP: self._reload}
        before = {number: signal.signal(number, handler) for number, handler in handled.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler has this shape
        self._ending = True
        _LOG.info("%s: stopping after the current file", signal.Signals(number).name)
        self._forced_exit.begin()
        self._stop()

    def _reload(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as above
        self._stop()

    def _stop(self) -> None:
        if self._service is not None:
            self._service.stop()


class ForcedExit:
    """Exits the process if it does not end by itself, as when a server accepts a request and never answers.

    Like a power cut, this loses nothing: the next start continues from the journal. As a context manager, it cancels
    the exit when the block ends.

    Args:
        seconds: Time to wait after ``begin``.
    """

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._leave)
        self._timer.daemon = True

    def begin(self) -> None:
        """Start the countdown; further calls do nothing."""
        if not self._timer.is_alive() and not self._timer.finished.is_set():
            self._timer.start()

    def __enter__(self) -> None:
        """Do nothing until ``begin``."""

    def __exit__(self, *error: object) -> None:
        """Cancel the countdown."""
        self._timer.cancel()

    @staticmethod
    def _leave() -> None:
        _LOG.warning("the current work does not end; exiting: the next start continues from the journal")
        logging.shutdown()
        os._exit(0)


def look(raw_path: bytes) -> Stamp | None:
    """Return the stamp of a regular file, or ``None`` if the path is not one."""
    try:
        status = os.lstat(raw_path)
    except OSError:
        return None
    regular = status.st_mode & 0o170000 == 0o100000
    return (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino) if regular else None
