"""When a changed file is ready: every fact with a clock that the test turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_image_dedup.daemon.debounce import Debounced, Debouncer
from py_image_dedup.model.file import Stamp

QUIET = 30.0


class World:
    """A clock and a folder, both in the test's hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.files: dict[bytes, Stamp] = {}

    def debouncer(self, **options: float) -> Debouncer:
        return Debouncer(QUIET, clock=lambda: self.now, look=self.files.get, **options)

    def write(self, path: bytes, size: int) -> None:
        self.files[path] = (size, int(self.now * 1e9), 1, 1)


@pytest.fixture
def world() -> World:
    return World()


def test_a_file_is_ready_when_it_has_been_quiet_for_long_enough(world: World) -> None:
    debouncer = world.debouncer()
    world.write(b"/a", 10)
    debouncer.note_event(b"/a")
    world.now += QUIET - 1
    assert debouncer.take().ready == ()
    world.now += 1
    assert debouncer.take().ready == (b"/a",)
    assert len(debouncer) == 0


def test_every_event_begins_the_quiet_time_again(world: World) -> None:
    debouncer = world.debouncer()
    world.write(b"/a", 10)
    debouncer.note_event(b"/a")
    for _ in range(5):
        world.now += QUIET - 1
        assert debouncer.take().ready == ()
        debouncer.note_event(b"/a")
    world.now += QUIET
    assert debouncer.take().ready == (b"/a",)


def test_a_file_that_grows_without_events_is_not_handed_on(world: World) -> None:
    debouncer = world.debouncer()
    world.write(b"/a", 10)
    debouncer.note_event(b"/a")
    for size in (20, 30, 40):
        world.now += QUIET
        world.write(b"/a", size)
        assert debouncer.take().ready == ()
    world.now += QUIET
    assert debouncer.take().ready == (b"/a",)


def test_a_file_that_vanished_is_reported_gone(world: World) -> None:
    debouncer = world.debouncer()
    world.write(b"/a", 10)
    debouncer.note_event(b"/a")
    del world.files[b"/a"]
    world.now += QUIET
    assert debouncer.take().gone == (b"/a",)


def test_a_deleted_file_that_is_written_again_is_waited_for(world: World) -> None:
    debouncer = world.debouncer()
    debouncer.note_event(b"/a")
    world.now += QUIET
    world.write(b"/a", 10)
    assert debouncer.take() == Debounced()
    world.now += QUIET
    assert debouncer.take().ready == (b"/a",)


def test_a_file_that_never_settles_is_reported_once_and_still_waited_for(world: World) -> None:
    debouncer = world.debouncer(patience_seconds=100.0)
    reports = []
    for size in range(20):
        world.write(b"/log.jpg", size)
        debouncer.note_event(b"/log.jpg")
        world.now += 10
        reports.append(debouncer.take().never_quiet)
    assert [r for r in reports if r] == [(b"/log.jpg",)]
    assert len(debouncer) == 1


def test_a_batch_is_bounded_and_the_rest_is_kept(world: World) -> None:
    debouncer = world.debouncer()
    names = [b"/%03d" % number for number in range(10)]
    for name in names:
        world.write(name, 1)
        debouncer.note_event(name)
    world.now += QUIET
    assert debouncer.take(4).ready == tuple(names[:4])
    assert debouncer.take(4).ready == tuple(names[4:8])
    assert debouncer.take(4).ready == tuple(names[8:])


def test_the_age_of_the_oldest_path_counts_from_its_first_event(world: World) -> None:
    debouncer = world.debouncer()
    assert debouncer.oldest_seconds == 0.0
    debouncer.note_event(b"/a")
    world.now += 5
    debouncer.note_event(b"/b")
    debouncer.note_event(b"/a")
    world.now += 5
    assert debouncer.oldest_seconds == 10.0


def test_the_next_look_is_due_when_the_quietest_path_is(world: World) -> None:
    debouncer = world.debouncer()
    assert debouncer.next_due() is None
    debouncer.note_event(b"/a")
    world.now += 5
    debouncer.note_event(b"/b")
    assert debouncer.next_due() == 1000.0 + QUIET


def test_a_forgotten_path_is_not_handed_on(world: World) -> None:
    debouncer = world.debouncer()
    world.write(b"/a", 1)
    debouncer.note_event(b"/a")
    debouncer.forget(b"/a")
    world.now += QUIET
    assert debouncer.take().ready == ()


@given(
    st.lists(
        st.tuples(st.sampled_from([b"/a", b"/b", b"/c"]), st.sampled_from(["write", "delete", "silent", "wait"])),
        max_size=60,
    )
)
def test_whatever_happens_every_path_comes_out_once_in_its_final_state(steps: list[tuple[bytes, str]]) -> None:
    world = World()
    debouncer = world.debouncer()
    touched: set[bytes] = set()
    last: dict[bytes, str] = {}
    size = 0
    for path, what in steps:
        size += 1
        if what == "wait":
            world.now += QUIET / 2
            settled = debouncer.take()
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
            debouncer.note_event(path)
            touched.add(path)
    for _ in range(3):
        world.now += QUIET
        settled = debouncer.take()
        last |= dict.fromkeys(settled.ready, "ready") | dict.fromkeys(settled.gone, "gone")
    assert len(debouncer) == 0
    for path in touched:
        assert last[path] == ("ready" if path in world.files else "gone")
