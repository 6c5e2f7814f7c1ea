from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.model.file import Root
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.scan.selector import Selector
from py_image_dedup.scan.walker import walk

ROOT = Root(Path("/photos"))


def selector(*exclusions: str, recursive: bool = True) -> Selector:
    return Selector(frozenset({".jpg", "PNG"}), tuple(re.compile(e) for e in exclusions), recursive)


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        (b"/photos/a.jpg", True),
        (b"/photos/a.JpG", True),
        (b"/photos/x/y/a.png", True),
        (b"/photos/.hidden/.a.jpg", True),
        (b"/photos/a.gif", False),
        (b"/photos/jpg", False),
        (b"/photos/a.jpg.txt", False),
        (b"/photosx/a.jpg", False),
        (b"/other/a.jpg", False),
        (b"/photos/.Trash-0/files/a.jpg", False),
        (b"/photos/x/@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg", False),
        (b"/photos/\xff.jpg", True),
    ],
)
def test_a_single_path_is_judged_as_the_walk_judges_it(path: bytes, counts: bool) -> None:
    assert selector().selects(path, ROOT) is counts


def test_exclusions_are_searched_in_the_whole_path() -> None:
    chosen = selector("/private/", r"_thumb\.jpg$")
    assert chosen.selects(b"/photos/a.jpg", ROOT)
    assert not chosen.selects(b"/photos/private/a.jpg", ROOT)
    assert not chosen.selects(b"/photos/a_thumb.jpg", ROOT)
    assert not selector("^/photos").selects(b"/photos/a.jpg", ROOT)


def test_without_recursion_only_the_files_of_the_root_itself_count() -> None:
    assert selector(recursive=False).selects(b"/photos/a.jpg", ROOT)
    assert not selector(recursive=False).selects(b"/photos/x/a.jpg", ROOT)


@pytest.mark.parametrize(
    ("exclusion", "whole_folder"),
    [
        ("/private/", True),
        ("(?i)/PRIVATE", True),
        ("/private/$", False),
        (r"/private/\Z", False),
        ("^(?!.*keep)", False),
        ("/private/(?!keep)", False),
        ("other", False),
    ],
)
def test_a_folder_is_left_out_whole_only_if_no_file_below_can_count(exclusion: str, whole_folder: bool) -> None:
    assert selector(exclusion).excludes_all_below(b"/photos/private") is whole_folder


def test_a_file_below_a_folder_that_a_look_ahead_matches_still_counts(tmp_path: Path) -> None:
    (tmp_path / "x" / "keep").mkdir(parents=True)
    (tmp_path / "x" / "keep" / "a.jpg").write_bytes(b"x")
    (tmp_path / "x" / "b.jpg").write_bytes(b"x")
    inventory = walk([Root(tmp_path)], selector("^(?!.*keep)"))
    assert [file.path for file in inventory] == [tmp_path / "x" / "keep" / "a.jpg"]


NAMES = st.sampled_from(["a", "b", "keep", ".Trash-1", "@eaDir", "out"])
FILES = st.sampled_from(["a.jpg", "b.PNG", "c.txt", "thumb.jpg"])
RULES = st.sampled_from(["/out/", "thumb", "a$", "^(?!.*keep)", r"\bb\b"])


@settings(max_examples=40, deadline=None)
@given(st.sets(st.tuples(st.lists(NAMES, max_size=3), FILES).map(lambda x: "/".join([*x[0], x[1]])), max_size=8),
       st.lists(RULES, max_size=2), st.booleans())  # fmt: skip
def test_the_walk_and_the_rule_for_single_paths_agree(
    tmp_path_factory: pytest.TempPathFactory, files: set[str], rules: list[str], recursive: bool
) -> None:
    top = tmp_path_factory.mktemp("tree")
    for name in files:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"x")
    chosen = selector(*rules, recursive=recursive)
    walked = set(walk([Root(top)], chosen).stamps)
    judged = {raw for name in files if chosen.selects(raw := os.fsencode(top / name), Root(top))}
    assert walked == judged


def test_a_file_belongs_to_the_most_specific_root() -> None:
    outer, inner = Root(Path("/p")), Root(Path("/p/q"), protected=True)
    ownership = Ownership([outer, inner])
    assert ownership.root_of(b"/p/a.jpg") == outer
    assert ownership.root_of(b"/p/q/r/a.jpg") == inner
    assert ownership.root_of(b"/p/qq/a.jpg") == outer
    assert ownership.root_of(b"/px/a.jpg") is None
    assert ownership.is_protected(b"/p/q/a.jpg")
    assert not ownership.is_protected(b"/p/a.jpg")


def test_the_root_of_all_owns_everything() -> None:
    assert Ownership([Root(Path("/"))]).root_of(b"/a.jpg") == Root(Path("/"))


def test_with_a_list_only_listed_files_count() -> None:
    root = Root(Path("/p"))
    listed = Selector(frozenset({"jpg"}), listed=frozenset({b"/p/a.jpg", b"/p/b.txt"}))
    assert listed.selects(b"/p/a.jpg", root)
    assert not listed.selects(b"/p/c.jpg", root)
    assert not listed.selects(b"/p/b.txt", root)
