"""What files may cost, alone and together."""

from __future__ import annotations

import threading

import pytest

from py_image_dedup.media.limits import Limits, MediaError, MemoryBudget
from py_image_dedup.model.failure import FailureReason

MIB = 1 << 20


def test_a_picture_beyond_the_limit_is_too_large() -> None:
    limits = Limits(max_pixels=1000)
    limits.check_size(10, 100)
    with pytest.raises(MediaError, match="megapixels") as caught:
        limits.check_size(10, 101)
    assert caught.value.reason is FailureReason.TOO_LARGE


def test_a_picture_without_pixels_is_corrupt() -> None:
    with pytest.raises(MediaError) as caught:
        Limits().check_size(0, 5)
    assert caught.value.reason is FailureReason.CORRUPT


def test_more_than_the_whole_budget_is_refused_at_once() -> None:
    with MemoryBudget(100 * MIB).reservation() as reserve, pytest.raises(MediaError) as caught:
        reserve(101 * MIB)
    assert caught.value.reason is FailureReason.TOO_LARGE


def test_what_is_out_never_exceeds_the_budget() -> None:
    budget = MemoryBudget(100 * MIB)
    out = 0
    most = 0
    lock = threading.Lock()

    def decode(size: int) -> None:
        nonlocal out, most
        with budget.reservation() as reserve:
            reserve(size)
            with lock:
                out += size
                most = max(most, out)
            threading.Event().wait(0.002)
            with lock:
                out -= size

    threads = [threading.Thread(target=decode, args=((10 + 9 * (i % 10)) * MIB,)) for i in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert most <= 100 * MIB
    with budget.reservation() as reserve:
        reserve(100 * MIB)  # everything was given back


def test_small_pictures_do_not_wait() -> None:
    budget = MemoryBudget(10 * MIB)
    with budget.reservation() as one, budget.reservation() as other:
        one(10 * MIB)
        other(MemoryBudget.SMALL)


def test_a_failure_gives_its_share_back() -> None:
    budget = MemoryBudget(10 * MIB)
    with pytest.raises(MediaError), budget.reservation() as reserve:
        _ = reserve(9 * MIB), reserve(11 * MIB)
    with budget.reservation() as reserve:
        reserve(10 * MIB)
