"""The report as a page: what is in the file, without a browser."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from py_image_dedup.api import find_duplicates
from py_image_dedup.model.inspection import Inspection, Outcome, Region, RegionKind
from py_image_dedup.model.match import Reason
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.report.html import Thumbnails, write_page
from py_image_dedup.report.page_content import as_script, keeper_sentence, page_content
from tests.report.results import GROUP, KEEPER, PARTIAL, TURNED, result
from tests.support.pictures import picture, write

HOSTILE = (
    "</script><script>alert(1)</script>",
    "\"'&<!--",
    "gnp.\u202egpj",
    "line\nbreak",
    "not\udcff-utf8",
)


def content_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    content: dict[str, Any] = json.loads(found.group(1))
    return content


def policy_of(page: str) -> dict[str, list[str]]:
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert found is not None
    return {words[0]: words[1:] for each in found.group(1).split(";") if (words := each.split())}


def sha256(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos, the first twice, the second three times and turned."""
    folder = tmp_path_factory.mktemp("Pictures")
    first = write(folder / "one.jpg", picture(1))
    (folder / "one copy.jpg").write_bytes(first.read_bytes())
    write(folder / "two.jpg", picture(2))
    write(folder / "two.png", picture(2))
    write(folder / "two turned.jpg", picture(2).transpose(Image.Transpose.ROTATE_270))
    return folder


@pytest.fixture(scope="module")
def found(library: Path) -> RunResult:
    return find_duplicates(library)


def test_the_page_is_one_file_with_a_thumbnail_of_every_picture(found: RunResult, tmp_path: Path) -> None:
    write_page(found, tmp_path / "duplicates.html", threads=1)
    page = (tmp_path / "duplicates.html").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["duplicates.html"]
    content = content_of(page)
    assert sorted(file["name"] for file in content["files"]) == [
        "one copy.jpg",
        "one.jpg",
        "two turned.jpg",
        "two.jpg",
        "two.png",
    ]
    thumbnails = dict(re.findall(r'<script type="text/plain" id="p(\d+)">([A-Za-z0-9+/=]+)</script>', page))
    assert sorted(thumbnails, key=int) == [str(file["id"]) for file in content["files"]]
    turned = next(file for file in content["files"] if file["name"] == "two turned.jpg")
    with Image.open(io.BytesIO(base64.b64decode(thumbnails[str(turned["id"])]))) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (240, 320))


def test_thumbnails_may_be_in_a_folder_beside(found: RunResult, tmp_path: Path) -> None:
    write_page(found, tmp_path / "duplicates.html", thumbnails=Thumbnails.BESIDE, threads=1)
    page = (tmp_path / "duplicates.html").read_text(encoding="utf-8")
    assert content_of(page)["pictures_beside"] == "duplicates.html.pictures"
    assert len(list((tmp_path / "duplicates.html.pictures").glob("*.webp"))) == len(content_of(page)["files"])
    assert 'id="p0"' not in page


def test_the_policy_allows_the_pages_own_script_and_style_and_no_request(found: RunResult, tmp_path: Path) -> None:
    write_page(found, tmp_path / "duplicates.html", threads=1)
    page = (tmp_path / "duplicates.html").read_text(encoding="utf-8")
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    style = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert policy_of(page) == {
        "default-src": ["'none'"],
        "script-src": [sha256(each) for each in script],
        "style-src": [sha256(each) for each in style],
        "img-src": ["data:", "file:"],
        "connect-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    assert (len(script), len(style)) == (1, 1)


def test_a_picture_that_changed_since_the_run_has_no_thumbnail(library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    for name in ("one.jpg", "one copy.jpg"):
        write(folder / name, picture(1))
    seen = find_duplicates(folder)
    write(folder / "one.jpg", picture(7))
    write(folder / "one copy.jpg", picture(8))
    write_page(seen, tmp_path / "duplicates.html", threads=1)
    assert 'type="text/plain"' not in (tmp_path / "duplicates.html").read_text(encoding="utf-8")


def test_files_that_the_run_has_moved_have_thumbnails(tmp_path: Path) -> None:
    copy = write(tmp_path / "photos" / "copy.jpg", picture(1).resize((160, 120)))
    write(tmp_path / "photos" / "one.jpg", picture(1))
    seen = find_duplicates(tmp_path / "photos")
    (planned,) = seen.outcomes
    assert planned.action.source.path == copy
    target = copy.rename(tmp_path / "elsewhere.jpg")
    done = replace(planned, status=OutcomeStatus.DONE, target=target)
    write_page(replace(seen, dry_run=False, outcomes=(done,)), tmp_path / "done.html", threads=1)
    page = (tmp_path / "done.html").read_text(encoding="utf-8")
    assert len(re.findall('type="text/plain" id="p', page)) == 2
    (group,) = content_of(page)["groups"]
    assert (group["members"][0]["action"], group["members"][0]["outcome"]) == ("quarantine", "done")


def test_a_failed_page_leaves_the_older_one(found: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "duplicates.html"
    path.write_text("older", encoding="utf-8")

    def full(*arguments: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("py_image_dedup.report.html.as_script", full)
    with pytest.raises(OSError, match="No space left"):
        write_page(found, path)
    assert path.read_text(encoding="utf-8") == "older"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text(name: str, tmp_path: Path) -> None:
    hostile = KEEPER.stat.path.with_name(name.replace("/", "\u2215") + ".jpg")
    keeper = replace(KEEPER, stat=replace(KEEPER.stat, path=hostile))
    group = replace(GROUP, keeper=keeper)
    content, _ = page_content(result(OutcomeStatus.PLANNED, groups=(group,)))
    text = as_script(content)
    assert not set("<>&\n") & set(text)
    file = json.loads(text)["files"][0]
    assert not re.search("[\x00-\x1f\u202a-\u202e]", file["name"])
    exact = file.get("exact", {"path": f"{content['folders'][file['folder']]['name']}/{file['name']}"})
    raw = base64.b64decode(exact["path_bytes"]) if "path_bytes" in exact else exact["path"].encode()
    assert raw == os.fsencode(hostile)


def test_a_group_has_its_keeper_and_the_reasons() -> None:
    content, files = page_content(result(OutcomeStatus.PLANNED, OutcomeStatus.PLANNED))
    (group,) = content["groups"]
    assert files.entries[group["keeper"]] is KEEPER
    assert [(each["class"], each["action"], each["outcome"]) for each in group["members"]] == [
        ("identical", "delete", "planned"),
        ("similar", "quarantine", "planned"),
        ("same-pixels", None, None),
    ]
    assert group["members"][1]["why"] == keeper_sentence(TURNED.reason)
    assert group["members"][1]["orientation"] == 6
    assert content["files"][0]["captured"] == "2020-01-02T03:04:05"


def test_the_reason_is_a_sentence() -> None:
    assert keeper_sentence(
        Reason("bigger-file-size", "3.1 MiB", "303 KiB", "larger (3.1 MiB, the other has 303 KiB)")
    ) == ("Kept: larger (3.1 MiB, the other has 303 KiB).")
    assert keeper_sentence(Reason("path", "a", "b")) == "Kept by the rule path: a, the other b."


def test_reported_matches_are_groups_of_which_nothing_is_planned() -> None:
    content, _ = page_content(replace(result(), groups=(), reported=(PARTIAL,)))
    (group,) = content["groups"]
    assert group["reported"] is True
    assert group["members"][0]["words"] == ["crop: 43 % of it"]
    assert group["members"][0]["action"] is None


def test_regions_of_an_inspection_are_in_pixels_of_the_keeper() -> None:
    found = Inspection(Outcome.EDITED, "A caption was added.", (Region(10, 20, 300, 40, RegionKind.ADDED, 0.001),))
    content, _ = page_content(replace(result(), groups=(), reported=(replace(PARTIAL, inspection=found),)))
    (member,) = content["groups"][0]["members"]
    assert member["regions"] == [{"x": 10, "y": 20, "width": 300, "height": 40, "kind": "added"}]
    assert member["found"] == "A caption was added."
