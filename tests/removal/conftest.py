from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than ``tmp_path``."""
    for candidate in (Path("/dev/shm"), Path.home(), Path("/var/tmp")):  # noqa: S108 - each is only tried
        if candidate.is_dir() and os.access(candidate, os.W_OK) and candidate.stat().st_dev != tmp_path.stat().st_dev:
            folder = Path(tempfile.mkdtemp(dir=candidate))
            yield folder
            shutil.rmtree(folder)
            return
    pytest.skip("NOT TESTED: moving across file systems, because this machine has no second one that can be written")
