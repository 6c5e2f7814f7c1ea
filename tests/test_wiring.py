from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

import click
import pytest

from py_image_dedup import api as deduplicator
from py_image_dedup.api import Options
from py_image_dedup.cli.main import application
from py_image_dedup.config import Settings, load
from py_image_dedup.config.sources import OPTIONS
from py_image_dedup.matching.criteria import DEFAULT_MATCHING, Matching, Scope, Similarity
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import MatchClass
from py_image_dedup.ranking.rules import DEFAULT_RULES
from py_image_dedup.removal.plan import ActionChoice
from py_image_dedup.store import elastic
from py_image_dedup.store.elastic import ElasticOptions
from py_image_dedup.store.sqlite.store import SqliteStore
from py_image_dedup.wiring import build_store, index_place, limits_of, options_of, roots_of, rules_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "settings.yaml"
    file.write_text(f"""
py_image_dedup:
  state_directory: {tmp_path}/state
  remove_empty_folders: true
  analysis:
    source_directories: [/a, /b, /c]
    protected_directories: [/c, /d]
    recursive: false
    file_extensions: [jpg]
    exclusions: [x+]
    threads: 3
    scope: folder
    max_pixels: 1000
    decode_timeout: 7s
  deduplication:
    max_distance: 0.2
    remove: [identical]
    action: move
    duplicates_target_directory: /away
    quarantine_days: 9
    max_file_modification_time_diff: 5m
    prioritization_rules: [has-gps, {{folder-order: [/a]}}, bigger-file-size]
""")
    return load(file=file, environment={}).settings


def test_every_setting_reaches_the_part_that_it_is_for(settings: Settings, tmp_path: Path) -> None:
    options = options_of(settings)
    assert options.selector.extensions == {".jpg"}
    assert options.selector.exclusions == (re.compile("x+"),)
    assert options.selector.recursive is False
    assert (options.analyse.threads, options.find.threads) == (3, 3)
    assert (options.analyse.limits.max_pixels, options.analyse.limits.timeout_seconds) == (1000, 7)
    assert options.find.limits == options.analyse.limits == limits_of(settings)
    assert (options.find.max_distance, options.find.scope) == (0.2, Scope.FOLDER)
    assert (options.find.matching, options.analyse.features) == (Matching.VERIFIED, True)
    assert options.find.max_file_modification_time_diff == timedelta(minutes=5).total_seconds()
    assert [rule.name for rule in options.rules] == ["has-gps", "folder-order", "bigger-file-size"]
    assert options.removal.action is ActionChoice.MOVE
    assert options.removal.target_directory == Path("/away")
    assert options.removal.remove_classes == {MatchClass.IDENTICAL}
    assert options.removal.prune is True
    assert options.quarantine_days == 9
    assert options.state_directory == tmp_path / "state"


def test_a_folder_that_is_source_and_protected_is_protected(settings: Settings) -> None:
    assert roots_of(settings) == (
        Root(Path("/a")),
        Root(Path("/b")),
        Root(Path("/c"), protected=True),
        Root(Path("/d"), protected=True),
    )


def test_without_features_the_distance_decides_as_in_the_reference_program(settings: Settings) -> None:
    bare = replace(Settings(), analysis=replace(settings.analysis, features=False))
    options = options_of(bare)
    assert options.analyse.features is False
    assert (options.find.matching, options.find.distance_bound) == (Matching.DISTANCE, 0.10)


def test_without_exif_data_its_rules_decide_nothing(settings: Settings) -> None:
    blind = replace(settings, analysis=replace(settings.analysis, use_exif_data=False))
    assert [rule.name for rule in rules_of(blind)] == ["folder-order", "bigger-file-size"]
    default = replace(Settings(), analysis=blind.analysis)
    assert [rule.name for rule in rules_of(default)] == [name for name in DEFAULT_RULES if name != "more-exif-data"]


def test_the_index_is_a_file_in_the_state_directory(settings: Settings, tmp_path: Path) -> None:
    with build_store(settings) as store:
        assert isinstance(store, SqliteStore)
    assert index_place(settings) == tmp_path / "state" / deduplicator.INDEX_NAME
    assert (tmp_path / "state" / "index.sqlite3").is_file()


def test_with_a_host_the_index_is_elasticsearch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {
        "PY_IMAGE_DEDUP_STATE_DIRECTORY": "/state",
        "PY_IMAGE_DEDUP_ELASTICSEARCH_HOST": "one, two:9201",
        "PY_IMAGE_DEDUP_ELASTICSEARCH_SCHEME": "https",
        "PY_IMAGE_DEDUP_ELASTICSEARCH_USERNAME": "ali",
        "PY_IMAGE_DEDUP_ELASTICSEARCH_PASSWORD": "open sesame",
        "PY_IMAGE_DEDUP_ELASTICSEARCH_INDEX": "photos",
    }
    settings = load(environment=environment).settings
    given: list[ElasticOptions] = []
    monkeypatch.setattr(elastic, "ElasticStore", given.append)
    build_store(settings)
    (options,) = given
    assert options.urls == ("https://one:9200", "https://two:9201")
    assert (options.username, options.password, options.index) == ("ali", "open sesame", "photos")
    assert options.cache_directory == Path("/state")
    assert "sesame" not in str(index_place(settings))


def test_the_settings_and_the_api_have_the_same_defaults() -> None:
    settings = Settings()
    assert options_of(settings) == Options(state_directory=settings.state_directory)


def test_the_settings_and_the_options_of_elasticsearch_have_the_same_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(Settings(), elasticsearch=replace(Settings().elasticsearch, host="127.0.0.1"))
    given: list[ElasticOptions] = []
    monkeypatch.setattr(elastic, "ElasticStore", given.append)
    build_store(settings)
    (options,) = given
    assert options == ElasticOptions(
        cache_directory=settings.state_directory,
        patience_seconds=options.patience_seconds,
        memory_bytes=options.memory_bytes,
    )


OPTIONS_OF_COMMANDS = {
    "--recursive": "analysis.recursive",
    "--scope": "analysis.scope",
    "--matching": "deduplication.matching",
    "--similarity": "deduplication.similarity",
    "--rotate": "deduplication.rotated",
    "--same-dimensions": "deduplication.same_dimensions",
    "--inspect": "deduplication.inspect",
    "--action": "deduplication.action",
    "--quarantine-days": "deduplication.quarantine_days",
    "--remove": "deduplication.remove",
    "--dry-run": "dry_run",
}
"""Options of ``deduplicate`` whose help states the default of a setting."""

NOT_THE_DEFAULT_OF_THE_SETTING = {"--scope"}
"""ROOTs on the command line are one pool, folders of the configuration are apart."""


@pytest.mark.parametrize(("name", "key"), OPTIONS_OF_COMMANDS.items())
def test_the_help_of_a_command_states_the_default_and_the_choices_of_the_setting(name: str, key: str) -> None:
    command = application.get_command(None, "deduplicate")  # type: ignore[arg-type] # the group ignores its context
    assert command is not None
    (param,) = (each for each in command.params if name in each.opts)
    assert isinstance(param, click.Option)
    setting = OPTIONS[tuple(key.split("."))]
    if isinstance(param.type, click.Choice):
        assert [setting.value_type.read(each) for each in param.type.choices] == list(param.type.choices)
    default = DEFAULT_MATCHING if name == "--matching" else setting.default
    if isinstance(default, bool):
        words = {str(default).lower(), (param.opts if default else param.secondary_opts)[0]}
    else:
        words = {", ".join(default) if isinstance(default, tuple) else str(default)}
    stated = re.search(r"\[default: (.*)\]$", param.help or "")
    assert stated is not None
    shown = stated[1].rpartition(", ")[2] if isinstance(default, bool) else stated[1]
    assert shown in words or name in NOT_THE_DEFAULT_OF_THE_SETTING


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("analysis.scope", Scope),
        ("deduplication.matching", Matching),
        ("deduplication.similarity", Similarity),
        ("deduplication.action", ActionChoice),
    ],
)
def test_a_command_offers_every_value_of_a_setting_that_has_names(key: str, values: type[StrEnum]) -> None:
    command = application.get_command(None, "deduplicate")  # type: ignore[arg-type] # the group ignores its context
    assert command is not None
    (name,) = (each for each, path in OPTIONS_OF_COMMANDS.items() if path == key)
    (param,) = (each for each in command.params if name in each.opts)
    assert isinstance(param.type, click.Choice)
    without = {Scope.AGAINST}  # it has an option of its own
    assert set(param.type.choices) == {each.value for each in values if each not in without}
