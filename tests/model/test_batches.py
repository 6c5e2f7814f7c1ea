"""Batches are lazy and complete."""

from __future__ import annotations

from itertools import count

import pytest

from py_image_dedup.model.batches import batched


@pytest.mark.parametrize(
    ("items", "size", "batches"),
    [
        ("", 3, []),
        ("ab", 3, [("a", "b")]),
        ("abc", 3, [("a", "b", "c")]),
        ("abcdefg", 3, [("a", "b", "c"), ("d", "e", "f"), ("g",)]),
        ("abc", 1, [("a",), ("b",), ("c",)]),
    ],
)
def test_every_item_is_in_one_batch_in_order(items: str, size: int, batches: list[tuple[str, ...]]) -> None:
    assert list(batched(items, size)) == batches


def test_no_item_is_read_before_its_batch_is_wanted() -> None:
    numbers = count()
    assert next(batched(numbers, 4)) == (0, 1, 2, 3)
    assert next(numbers) == 4
