from __future__ import annotations

import gc
from datetime import UTC, datetime
from pathlib import Path

import pytest

from py_image_dedup.pipeline.find import paused_collection
from py_image_dedup.removal.runs import free_run_name


def test_a_name_that_is_taken_becomes_the_next_one(tmp_path: Path) -> None:
    when = datetime(2024, 12, 31, 23, 59, 59, 998000, UTC)
    for name in ("2024-12-31T23-59-59-998Z", "2024-12-31T23-59-59-999Z"):
        assert free_run_name(when, tmp_path) == name
        (tmp_path / name).mkdir()
    assert free_run_name(when, tmp_path) == "2025-01-01T00-00-00-000Z"


def test_the_collector_goes_on_after_a_pause_unless_it_was_off() -> None:
    def fail() -> None:
        with paused_collection():
            assert not gc.isenabled()
            raise KeyError

    assert gc.isenabled()
    with pytest.raises(KeyError):
        fail()
    assert gc.isenabled()
    with paused_collection(), paused_collection():
        pass
    assert gc.isenabled()
