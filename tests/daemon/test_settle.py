"""When a changed file is ready: every fact with a clock that the test turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_image_dedup.daemon.debounce import Settled, Settler
from py_image_dedup.model.file import Stamp

QUIET = 30.0


class World:
    """A clock and a folder, both in the test's hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.files: dict[bytes, Stamp] = {}

    def settler(self, **options: float) -> Settler:
        return Settler(QUIET, clock=lambda: self.now, look=self.files.get, **options)

    def write(self, path: bytes, size: int) -> None:
        self.files[path] = (size, int(self.now * 1e9), 1, 1)


@pytest.fixture
def world() -> World:
    return World()


def test_a_file_is_ready_when_it_has_been_quiet_for_long_enough(world: World) -> None:
    settler = world.settler()
    world.write(b"/a", 10)
    settler.touch(b"/a")
    world.now += QUIET - 1
    assert settler.take().ready == ()
    world.now += 1
    assert settler.take().ready == (b"/a",)
    assert len(settler) == 0


def test_every_event_begins_the_quiet_time_again(world: World) -> None:
    settler = world.settler()
    world.write(b"/a", 10)
    settler.touch(b"/a")
    for _ in range(5):
        world.now += QUIET - 1
        assert settler.take().ready == ()
        settler.touch(b"/a")
    world.now += QUIET
    assert settler.take().ready == (b"/a",)


def test_a_file_that_grows_without_events_is_not_handed_on(world: World) -> None:
    settler = world.settler()
    world.write(b"/a", 10)
    settler.touch(b"/a")
    for size in (20, 30, 40):
        world.now += QUIET
        world.write(b"/a", size)
        assert settler.take().ready == ()
    world.now += QUIET
    assert settler.take().ready == (b"/a",)


def test_a_file_that_vanished_is_reported_gone(world: World) -> None:
    settler = world.settler()
    world.write(b"/a", 10)
    settler.touch(b"/a")
    del world.files[b"/a"]
    world.now += QUIET
    assert settler.take().gone == (b"/a",)


def test_a_deleted_file_that_is_written_again_is_waited_for(world: World) -> None:
    settler = world.settler()
    settler.touch(b"/a")
    world.now += QUIET
    world.write(b"/a", 10)
    assert settler.take() == Settled()
    world.now += QUIET
    assert settler.take().ready == (b"/a",)


def test_a_file_that_never_settles_is_reported_once_and_still_waited_for(world: World) -> None:
    settler = world.settler(patience_seconds=100.0)
    reports = []
    for size in range(20):
        world.write(b"/log.jpg", size)
        settler.touch(b"/log.jpg")
        world.now += 10
        reports.append(settler.take().restless)
    assert [r for r in reports if r] == [(b"/log.jpg",)]
    assert len(settler) == 1


def test_a_batch_is_bounded_and_the_rest_is_kept(world: World) -> None:
    settler = world.settler()
    names = [b"/%03d" % number for number in range(10)]
    for name in names:
        world.write(name, 1)
        settler.touch(name)
    world.now += QUIET
    assert settler.take(4).ready == tuple(names[:4])
    assert settler.take(4).ready == tuple(names[4:8])
    assert settler.take(4).ready == tuple(names[8:])


def test_the_age_of_the_oldest_path_counts_from_its_first_event(world: World) -> None:
    settler = world.settler()
    assert settler.oldest_seconds == 0.0
    settler.touch(b"/a")
    world.now += 5
    settler.touch(b"/b")
    settler.touch(b"/a")
    world.now += 5
    assert settler.oldest_seconds == 10.0


def test_the_next_look_is_due_when_the_quietest_path_is(world: World) -> None:
    settler = world.settler()
    assert settler.next_due() is None
    settler.touch(b"/a")
    world.now += 5
    settler.touch(b"/b")
    assert settler.next_due() == 1000.0 + QUIET


def test_a_forgotten_path_is_not_handed_on(world: World) -> None:
    settler = world.settler()
    world.write(b"/a", 1)
    settler.touch(b"/a")
    settler.forget(b"/a")
    world.now += QUIET
    assert settler.take().ready == ()


@given(
    st.lists(
        st.tuples(st.sampled_from([b"/a", b"/b", b"/c"]), st.sampled_from(["write", "delete", "silent", "wait"])),
        max_size=60,
    )
)
def test_whatever_happens_every_path_comes_out_once_in_its_final_state(steps: list[tuple[bytes, str]]) -> None:
    world = World()
    settler = world.settler()
    touched: set[bytes] = set()
    last: dict[bytes, str] = {}
    size = 0
    for path, what in steps:
        size += 1
        if what == "wait":
            world.now += QUIET / 2
            settled = settler.take()
            last |= dict.fromkeys(settled.ready, "ready") | dict.fromkeys(settled.gone, "gone")
            touched -= {*settled.ready, *settled.gone}
            continue
        if what == "silent" and path not in touched:
            continue  # a change that nobody was told of, on a path that nobody waits for
        if what == "delete":
            world.files.pop(path, None)
        else:
            world.write(path, size)
        if what != "silent":
            settler.touch(path)
            touched.add(path)
    for _ in range(3):
        world.now += QUIET
        settled = settler.take()
        last |= dict.fromkeys(settled.ready, "ready") | dict.fromkeys(settled.gone, "gone")
    assert len(settler) == 0
    for path in touched:
        assert last[path] == ("ready" if path in world.files else "gone")
