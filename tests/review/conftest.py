"""A home for the program, and a library."""

from __future__ import annotations

from tests.cli.conftest import library, program

__all__ = ["library", "program"]
