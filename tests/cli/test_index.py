"""``index copy``: there and back, and what it says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from py_image_dedup.api import INDEX_NAME
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.cli.program import Program
from tests.servers.sites import Site


def groups(output: str) -> object:
    """The groups; files in quarantine lie in a folder named for the run."""
    result = json.loads(output)
    return json.loads(output.replace(result["run"], "RUN"))["groups"]


def analysed(output: str) -> dict[str, int]:
    (counts,) = (phase["counts"] for phase in json.loads(output)["phases"] if phase["name"] == "analyse")
    return dict(counts)


@pytest.mark.elasticsearch
def test_a_copied_index_knows_every_picture_and_comes_back_the_same(
    program: Program, library: Path, newest_site: Site, newest_index: str
) -> None:
    options = newest_site.options(newest_index)
    server = {
        "PY_IMAGE_DEDUP_ELASTICSEARCH_HOST": options.hosts[0],
        "PY_IMAGE_DEDUP_ELASTICSEARCH_PORT": str(options.port),
        "PY_IMAGE_DEDUP_ELASTICSEARCH_INDEX": newest_index,
    }
    first = program.call("deduplicate", library, "--output", "json")
    assert analysed(first.out)["analysed"] > 0
    copied = program.call("index", "copy", "--to", "elasticsearch", **server)
    assert copied.code == 0, copied.err
    assert f"copied to the Elasticsearch index '{newest_index}'" in copied.err
    again = program.call("deduplicate", library, "--output", "json", **server)
    assert analysed(again.out)["analysed"] == 0
    assert groups(again.out) == groups(first.out)
    file = program.state / INDEX_NAME
    with SqliteStore(file) as store:
        known = list(store.entries(None))
    file.unlink()
    back = program.call("index", "copy", "--to", "sqlite", **server)
    assert back.code == 0, back.err
    assert "remove elasticsearch.host from the configuration" in back.err
    with SqliteStore(file) as store:
        assert list(store.entries(None)) == known


def test_without_a_host_it_says_what_is_missing(program: Program) -> None:
    ended = program.call("index", "copy", "--to", "elasticsearch")
    assert ended.code == 2
    assert "elasticsearch.host is not set" in ended.err


def test_without_an_index_there_is_nothing_to_copy(program: Program) -> None:
    ended = program.call("index", "copy", "--to", "elasticsearch", PY_IMAGE_DEDUP_ELASTICSEARCH_HOST="localhost")
    assert ended.code == 2
    assert "There is no index" in ended.err
    assert not program.state.exists()


def test_the_help_of_copy_lists_the_exit_codes(program: Program) -> None:
    ended = program.call("index", "copy", "--help")
    assert ended.code == 0
    assert "0    done" in ended.out
    assert "elasticsearch.host" in ended.out
