"""A ``with`` block closes its object whatever happens inside."""

from __future__ import annotations

import pytest

from py_image_dedup.model.closing import Closing


class Resource(Closing):
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_the_block_has_the_object_and_closes_it_at_its_end() -> None:
    resource = Resource()
    with resource as entered:
        assert entered is resource
        assert resource.closed == 0
    assert resource.closed == 1


def test_an_error_closes_the_object_and_goes_on() -> None:
    resource = Resource()
    with pytest.raises(KeyError), resource:
        raise KeyError("x")
    assert resource.closed == 1
