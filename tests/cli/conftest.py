"""A home for the program, and a library."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import Program, make_library


@pytest.fixture
def program(tmp_path: Path) -> Program:
    home = tmp_path / "home"
    home.mkdir()
    return Program(home)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return make_library(tmp_path / "home" / "Pictures")
