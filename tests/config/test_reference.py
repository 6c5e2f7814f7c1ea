from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from py_image_dedup.config import Settings, load
from py_image_dedup.config.reference import reference, shown
from py_image_dedup.config.sources import OPTIONS, variable

REFERENCE = Path(__file__).resolve().parents[2] / "py_image_dedup_reference.yaml"

PUBLISHED = [
    "analysis.across_dirs",
    "analysis.exclusions",
    "analysis.file_extensions",
    "analysis.recursive",
    "analysis.source_directories",
    "analysis.threads",
    "analysis.use_exif_data",
    "daemon.file_observer",
    "daemon.processing_timeout",
    "deduplication.duplicates_target_directory",
    "deduplication.max_file_modification_time_diff",
    "deduplication.prioritization_rules",
    "dry_run",
    "elasticsearch.auto_create_index",
    "elasticsearch.host",
    "elasticsearch.index",
    "elasticsearch.port",
    "remove_empty_folders",
    "stats.enabled",
    "stats.port",
]


def uncommented(text: str) -> dict[str, Any]:
    """The reference with every option in force: a comment that is a key or a list item loses its mark."""
    names = {path[-1] for path in OPTIONS}
    lines = []
    for line in text.splitlines():
        bare = line.lstrip()
        words = bare.removeprefix("# ")
        is_option = bare.startswith("# ") and (words.split(":")[0] in names or words.lstrip().startswith("- "))
        if bare.startswith("#") and not (is_option and line.startswith("  ")):
            continue
        lines.append(line[: len(line) - len(bare)] + (words if is_option else bare))
    found: dict[str, Any] = YAML(typ="safe").load("\n".join(lines))
    return found


def test_the_reference_file_is_current() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(), (
        "run: py-image-dedup config reference > " + REFERENCE.name
    )


def test_the_reference_configuration_is_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "reference.yaml"
    file.write_text(reference(), encoding="utf-8")
    loaded = load(file=file, environment={})
    assert loaded.settings == Settings()
    assert loaded.warnings == ()


def test_every_option_is_in_the_reference_once() -> None:
    tree = uncommented(reference())["py_image_dedup"]
    found = {
        (name,) if not isinstance(value, dict) else (name, key)
        for name, value in tree.items()
        for key in (value if isinstance(value, dict) else [name])
    }
    assert found == OPTIONS.keys()


def test_every_published_key_is_still_an_option() -> None:
    assert {".".join(path) for path in OPTIONS} >= set(PUBLISHED)


def test_no_two_options_share_an_environment_variable() -> None:
    names = [variable(path) for path in OPTIONS]
    assert len(set(names)) == len(names)


def test_what_is_shown_can_be_loaded_again(tmp_path: Path) -> None:
    text = """
py_image_dedup:
  analysis: {source_directories: [/a b, /ö], exclusions: ['^\\s#'], decode_timeout: 1m30s, scope: folder}
  deduplication:
    max_file_modification_time_diff: 36h
    duplicates_target_directory: /dup
    prioritization_rules: [has-gps, {folder-order: [/a, /b]}]
"""
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text(text, encoding="utf-8")
    settings = load(file=first, environment={}).settings
    second.write_text(shown(settings), encoding="utf-8")
    assert load(file=second, environment={}).settings == settings


@pytest.mark.parametrize("name", ["PASSWORD", "API_KEY"])
def test_secrets_are_never_shown(name: str) -> None:
    environment = {
        f"PY_IMAGE_DEDUP_ELASTICSEARCH_{name}": "open sesame",
        "PY_IMAGE_DEDUP_ELASTICSEARCH_USERNAME": "ali",
    }
    settings = load(environment=environment).settings
    text = shown(settings)
    assert "sesame" not in text
    assert "(set, not shown)" in text
    assert "sesame" not in repr(settings)


def test_a_shown_value_says_where_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("py_image_dedup:\n  analysis:\n    source_directories: [/a]\n", encoding="utf-8")
    loaded = load(file=file, environment={"PY_IMAGE_DEDUP_STATS_PORT": "9000"})
    lines = shown(loaded.settings, loaded.origins).splitlines()
    assert "  dry_run: true  # default" in lines
    assert "    port: 9000  # environment variable PY_IMAGE_DEDUP_STATS_PORT" in lines
    assert lines[lines.index(f"    source_directories:  # {file}, line 3") + 1] == "      - /a"
    again = tmp_path / "again.yaml"
    again.write_text("\n".join(lines), encoding="utf-8")
    assert load(file=again, environment={}).settings == loaded.settings
