"""What every test may ask for."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.servers.plugin"]

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def photos_folder() -> Path | None:
    """The development photographs, or ``None`` on a machine that does not have them."""
    given = os.environ.get("PY_IMAGE_DEDUP_PHOTOS")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "photos"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def photos() -> Path:
    """The development photographs; the test is skipped where they are not, and fails in CI."""
    folder = photos_folder()
    if folder is None:
        reason = "the development photographs are not here: set PY_IMAGE_DEDUP_PHOTOS to their folder"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """Give the program's log back as it was: a command, run within a test, sends it to the terminal alone."""
    log = logging.getLogger("py_image_dedup")
    level, handlers, propagate = log.level, log.handlers, log.propagate
    yield
    log.setLevel(level)
    log.handlers, log.propagate = handlers, propagate
