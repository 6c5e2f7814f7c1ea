"""Stored verdicts stay valid as long as no threshold changes, and no longer."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from py_image_dedup.pipeline.options import AnalyseOptions, FindOptions, Options
from py_image_dedup.pipeline.verification import verdict_key
from py_image_dedup.verification.thresholds import THRESHOLDS, Thresholds, fingerprint, method_version

LARGEST_INTEGER = 2**63 - 1
"""Of a column of SQLite."""


def test_todays_thresholds_have_the_version_that_indexes_were_written_with() -> None:
    assert method_version() == 4


def test_the_key_of_the_default_options_is_the_one_that_indexes_were_written_with() -> None:
    versions = AnalyseOptions().versions
    methods = (versions.media * 1000 + versions.features) * 1000 + 4
    assert verdict_key(Options(find=FindOptions(max_distance=0.35))) == methods * 10_000 + 350


@pytest.mark.parametrize("name", [field.name for field in fields(Thresholds)])
def test_a_change_of_any_threshold_gives_another_version(name: str) -> None:
    value = getattr(THRESHOLDS, name)
    other = value[:-1] if isinstance(value, tuple) else value * 1.25
    changed = replace(THRESHOLDS, **{name: other})
    assert fingerprint(changed) != fingerprint(THRESHOLDS)
    version = method_version(changed)
    assert 10**9 <= version < 10**15
    # The largest versions of the other methods stay apart from it in the key, which is an integer of the index.
    assert ((999 * 1000 + 999) * 1000 + version) * 10_000 + 1_000 <= LARGEST_INTEGER
