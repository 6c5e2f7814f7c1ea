"""A small ladder of edits: every copy is found, as the class that it is, and nothing else is.

The whole ladder on real photographs is ``benchmarks/accuracy.py``; this one guards what it has shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ladder import LADDER, Edit, Original
from PIL import ImageEnhance

from py_image_dedup.api import Deduplicator, Options
from py_image_dedup.api.lookup import Lookup
from py_image_dedup.matching.criteria import Scope
from py_image_dedup.media.decoder import Decoder
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import Match, MatchClass
from py_image_dedup.pipeline.options import FindOptions
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.photographs import photograph
from tests.verification.edited import letter

pytestmark = pytest.mark.slow

COPIED = range(4)
OTHERS = range(100, 130)
FORMS = range(5)
DOUBTFUL = {"JPEG 5", "equalised", "hue shifted", "meme text", "watermark", "emoji"}
"""Edits after which a whole copy may be called a part: where much is lost or painted over, doubt wins."""

REQUIRED = [edit for edit in LADDER if edit.required]


@dataclass(frozen=True)
class Library:
    """Photographs, forms that were filled in differently, and an index of both."""

    folder: Path
    store: SqliteStore
    lookup: Lookup

    def ask(self, edit: Edit, seed: int) -> list[Match]:
        """Make one copy and look it up."""
        copy = self.folder.parent / f"copy{edit.suffix}"
        copy.write_bytes(edit.make(Original.read(self.folder / f"{seed}.jpg")))
        answer = self.lookup.ask(copy)
        assert answer.problem == ""
        return list(answer.matches)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    top = tmp_path_factory.mktemp("ladder")
    folder = top / "photos"
    folder.mkdir()
    for seed in (*COPIED, *OTHERS):
        # Colours as photographs have them: a change of hue then leaves light and dark nearly where they were.
        ImageEnhance.Color(photograph(seed)).enhance(0.4).save(folder / f"{seed}.jpg", quality=92)
    for form in FORMS:
        letter(1, digits=form).save(folder / f"form {form}.jpg", quality=92)
    with SqliteStore(top / "index.sqlite3") as store, Decoder() as decoder:
        Deduplicator(store, Options()).analyse([Root(folder)])
        yield Library(folder, store, Lookup(store, decoder, FindOptions()))


@pytest.mark.parametrize("edit", REQUIRED, ids=[edit.name for edit in REQUIRED])
def test_a_copy_matches_its_original_and_nothing_else(library: Library, edit: Edit) -> None:
    for seed in COPIED:
        matches = library.ask(edit, seed)
        assert [match.right.stat.path.name for match in matches] == [f"{seed}.jpg"]
        found = matches[0].match_class
        expected = {MatchClass(edit.expected)} | ({MatchClass.PARTIAL} if edit.name in DOUBTFUL else set())
        assert found in expected


def test_no_two_different_pictures_match(library: Library) -> None:
    options = Options(find=FindOptions(scope=Scope.ALL))
    result = Deduplicator(library.store, options).deduplicate([Root(library.folder)], dry_run=True)
    assert result.groups == ()
    assert result.reported == ()
