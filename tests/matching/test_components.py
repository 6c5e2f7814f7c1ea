from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.matching.groups import Components


def joined(*blocks: list[tuple[int, int]]) -> list[list[int]]:
    components = Components()
    for block in blocks:
        pairs = np.array(block, dtype=np.int64).reshape(-1, 2)
        components.join(pairs[:, 0], pairs[:, 1])
    return [[int(number) for number in members] for members in components.members()]


def test_pairs_that_share_a_number_are_one_component() -> None:
    assert joined([(1, 2), (5, 6)], [(2, 5), (9, 8)]) == [[1, 2, 5, 6], [8, 9]]


def test_numbers_without_a_pair_are_in_none() -> None:
    assert joined() == []
    assert joined([]) == []
    assert joined([(0, 7)]) == [[0, 7]]


def test_a_component_is_named_by_its_least_number() -> None:
    components = Components()
    components.join(np.array([4, 3]), np.array([5, 4]))
    assert [components.root(n) for n in (2, 3, 4, 5, 6, 99)] == [2, 3, 3, 3, 6, 99]


def test_a_long_chain_is_one_component() -> None:
    numbers = np.arange(10_000, dtype=np.int64)
    components = Components()
    components.join(numbers[:-1][::-1], numbers[1:][::-1])
    (members,) = components.members()
    assert np.array_equal(members, numbers)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12), max_size=4))
def test_components_are_what_a_walk_along_the_pairs_reaches(blocks: list[list[tuple[int, int]]]) -> None:
    neighbours: dict[int, set[int]] = {}
    for left, right in (pair for block in blocks for pair in block):
        neighbours.setdefault(left, set()).add(right)
        neighbours.setdefault(right, set()).add(left)
    expected = set()
    for start in neighbours:
        reached, pending = {start}, [start]
        while pending:
            new = neighbours[pending.pop()] - reached
            reached |= new
            pending.extend(new)
        if len(reached) > 1:
            expected.add(tuple(sorted(reached)))
    assert {tuple(members) for members in joined(*blocks)} == expected
