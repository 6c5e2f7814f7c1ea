"""The daemon as a process: settings become a service, signals end it or make it read its settings again."""

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

from py_image_dedup.config import ConfigError, Settings
from py_image_dedup.daemon.debounce import Debouncer
from py_image_dedup.daemon.runner import LibraryRunner
from py_image_dedup.daemon.service import Service, Timing
from py_image_dedup.daemon.watcher import Watcher
from py_image_dedup.metrics.instruments import Instruments
from py_image_dedup.metrics.observer import MetricsObserver
from py_image_dedup.metrics.server import MetricsServer
from py_image_dedup.model.events import Event
from py_image_dedup.model.file import Stamp
from py_image_dedup.model.result import RunResult
from py_image_dedup.wiring import build, build_store, options_of, roots_of, runs_directory

_LOG = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds that an index may be silent before the page says so: the loop itself tries again, and can be ended then."""
_GRACE = 8.0
"""Seconds that the work in hand may take to end."""


class DaemonError(Exception):
    """The daemon cannot start; the message says why and what to do."""


class Daemon:
    """A daemon that runs until a signal ends it.

    SIGTERM and SIGINT end it after the file in hand, and within ten seconds; SIGHUP makes it read its settings again;
    settings that are wrong are told and the old ones stay.

    Args:
        load: Reads the settings.
        version: Of the program, for the metrics.
        keep: Takes the settings and the result of every run that found something.
    """

    def __init__(
        self, load: Callable[[], Settings], version: str, keep: Callable[[RunResult, Settings], object]
    ) -> None:
        self._load = load
        self._keep = keep
        self._instruments = Instruments(version)
        self._metrics = MetricsObserver(self._instruments)
        self._service: Service | None = None
        self._ending = False
        self._forced_exit = ForcedExit(_GRACE)

    def run(self) -> None:
        """Run until a signal ends it.

        Raises:
            ConfigError: The settings are wrong at the start.
            DaemonError: There is nothing to watch, or the metrics page's address is taken.
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
                _LOG.error("the configuration was not taken: %s", problem)
            return settings
        _LOG.info("the configuration was read again")
        return again

    def _serve(self, settings: Settings) -> None:
        roots, selector = roots_of(settings), options_of(settings).walked
        if not roots:
            raise DaemonError("there is nothing to watch: set analysis.source_directories, or give a ROOT")
        runner = LibraryRunner(
            roots,
            selector,
            open_store=lambda: build_store(settings, patience_seconds=_PATIENCE),
            make=lambda store: build(settings, store, observer=self._tell, should_stop=lambda: service.stopping),
            dry_run=settings.dry_run,
            observer=self._metrics,
            keep=lambda result: self._keep(result, settings),
            runs_directory=runs_directory(settings),
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
        _LOG.info(
            "py-image-dedup watches %s%s",
            ", ".join(str(root.path) for root in roots),
            "; a dry run: nothing is removed" if settings.dry_run else "",
        )
        try:
            with self._pages(settings, service):
                service.run()
        finally:
            self._service = None
            runner.close()

    def _tell(self, event: Event, /) -> None:
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
                f"the metrics page cannot be served on {stats.address}:{stats.port}: {why}; "
                "set stats.address and stats.port, or stats.enabled: false"
            ) from error
        try:
            yield
        finally:
            server.close()

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
        _LOG.info("%s: ending after the file in hand", signal.Signals(number).name)
        self._forced_exit.begin()
        self._stop()

    def _reload(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as above
        self._stop()

    def _stop(self) -> None:
        if self._service is not None:
            self._service.stop()


class ForcedExit:
    """Leaves the process if it does not end by itself, as when a server accepts a request and never answers.

    That is what a power cut does, at which nothing is lost: the journal tells the next start what was in hand. As a
    context manager: what has ended by itself is not left.

    Args:
        seconds: To wait after ``begin``.
    """

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._leave)
        self._timer.daemon = True

    def begin(self) -> None:
        """Begin to wait; the second time is none."""
        if not self._timer.is_alive() and not self._timer.finished.is_set():
            self._timer.start()

    def __enter__(self) -> None:
        """Nothing yet."""

    def __exit__(self, *error: object) -> None:
        """Wait no more."""
        self._timer.cancel()

    @staticmethod
    def _leave() -> None:
        _LOG.warning("what is in hand does not end; leaving it: the next start goes on from the journal")
        logging.shutdown()
        os._exit(0)


def look(raw_path: bytes) -> Stamp | None:
    """Return the stamp of a regular file, or ``None``."""
    try:
        status = os.lstat(raw_path)
    except OSError:
        return None
    regular = status.st_mode & 0o170000 == 0o100000
    return (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino) if regular else None
