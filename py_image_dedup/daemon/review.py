"""The review page of the daemon: what was found and not done, what was done, and undo."""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from py_image_dedup.config import Settings
from py_image_dedup.config.settings import SHORTEST_PASSWORD, ReviewSettings
from py_image_dedup.matching.rejections import REJECTIONS_NAME, Rejections, RejectionsError, load_rejections
from py_image_dedup.model.events import Observer
from py_image_dedup.model.plan import Plan
from py_image_dedup.model.result import RunResult
from py_image_dedup.review.access import Gate, PasswordGate, TokenGate
from py_image_dedup.review.board import Board
from py_image_dedup.review.server import ReviewServer
from py_image_dedup.review.session import ReviewSession
from py_image_dedup.wiring import build, build_store, limits_of, removal_of, roots_of

_LOG = logging.getLogger(__name__)

ADDRESS_NAME: Final = "review-address"
"""Name of the file in the state directory that has the address with its token; only its owner may read it."""

_WORKERS: Final = 2
_END_SECONDS: Final = 8.0


class ReviewPageError(Exception):
    """An error that prevents the page from being served; the message says why and what to do."""


def password_of(review: ReviewSettings) -> str | None:
    """Return the password of the page; ``None`` if it has none.

    Raises:
        ReviewPageError: The file of the password cannot be read, or has none that is long enough.
    """
    if review.password is not None or review.password_file is None:
        return review.password
    try:
        lines = review.password_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        cause = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ReviewPageError(
            f"the password of the review page cannot be read from {review.password_file}: {cause}; correct "
            "review.password_file, or set review.enabled: false"
        ) from error
    password = lines[0].strip() if lines else ""
    if len(password) < SHORTEST_PASSWORD:
        raise ReviewPageError(
            f"the first line of {review.password_file} (review.password_file) must be a password of "
            f"{SHORTEST_PASSWORD} characters or more"
        )
    return password


class ReviewPage:
    """Serves the page from a thread of its own until it is closed.

    Args:
        settings: The settings of the daemon.

    Raises:
        ReviewPageError: The password cannot be read, or the address cannot be bound.
    """

    def __init__(self, settings: Settings) -> None:
        review = settings.review
        password = password_of(review)
        gate: Gate = TokenGate() if password is None else PasswordGate(password, review.session_timeout.total_seconds())
        self._board = _board_of(settings)
        try:
            self._server = ReviewServer(self._board, gate, review.address, review.port, can_end=False)
        except OSError as error:
            why = "another program uses it" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
            raise ReviewPageError(
                f"the review page cannot be served on {review.address}:{review.port}: {why}; "
                "set review.address and review.port, or review.enabled: false"
            ) from error
        self._address_file = settings.state_directory / ADDRESS_NAME
        if password is None:
            _write_secretly(self._address_file, f"{self._server.address}\n")
            _LOG.info("review page: its address is in %s", self._address_file)
        else:
            _LOG.info("review page: %s", self._server.address)
        self._thread = threading.Thread(target=self._server.serve, name="review", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """The address of the page, with its token if it has no password."""
        return self._server.address

    @property
    def publish(self) -> Callable[..., None]:
        """Takes the result of a run; see ``Board.publish``."""
        return self._board.publish

    def close(self) -> None:
        """Stop the current step after its current file, and stop listening."""
        self._server.end()
        self._thread.join(_END_SECONDS)
        self._address_file.unlink(missing_ok=True)


def _board_of(settings: Settings) -> Board:
    def carry_out(plan: Plan, observer: Observer, should_stop: Callable[[], bool]) -> RunResult:
        with build_store(settings) as store:
            return build(settings, store, observer=observer, should_stop=should_stop).apply(plan)

    removal = removal_of(settings)

    def make_session(plan: Plan, result: RunResult) -> ReviewSession:
        return ReviewSession(
            plan,
            result,
            removal,
            settings.state_directory,
            carry_out,
            shows_history=True,
            remembers_undo=not settings.dry_run,
        )

    def rejections() -> Rejections:
        try:
            return load_rejections(settings.state_directory / REJECTIONS_NAME)
        except (RejectionsError, OSError) as error:
            # The next run fails for the same reason; until then the page shows more than it should, and not less.
            _LOG.warning("review page: %s", error)
            return Rejections()

    return Board(
        make_session,
        rejections,
        protected=tuple(root.path for root in roots_of(settings) if root.protected),
        target_directory=removal.target_directory,
        prune=removal.prune,
        limits=limits_of(settings),
        workers=min(_WORKERS, settings.analysis.threads),
    )


def _write_secretly(path: Path, text: str) -> None:
    """Write a file that only its owner can read, also if it was there before with other rights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR), "w") as file:  # noqa: PTH123
        file.write(text)
