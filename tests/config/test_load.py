from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from py_image_dedup.config import ConfigError, Loaded, load
from py_image_dedup.config.sources import DEFAULTS_FILE


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in and a home without any configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".config").mkdir(parents=True)
    return tmp_path


def read(folder: Path, text: str, environment: dict[str, str] | None = None, **command_line: Any) -> Loaded:
    file = folder / "given.yaml"
    file.write_text(text, encoding="utf-8")
    given = {key.replace("__", "."): value for key, value in command_line.items()}
    return load(file=file, environment=environment or {}, command_line=given)


def problems(folder: Path, text: str, environment: dict[str, str] | None = None, **command_line: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, environment, **command_line)
    return [str(problem) for problem in caught.value.problems]


def test_without_any_configuration_the_defaults_hold(elsewhere: Path) -> None:
    loaded = load(environment={})
    assert loaded.file is None
    assert loaded.warnings == ()
    settings = loaded.settings
    assert settings.dry_run is True
    assert settings.analysis.source_directories == ()
    assert settings.analysis.scope == "root"
    assert ".jpg" in settings.analysis.file_extensions
    assert settings.analysis.threads >= 1
    assert settings.deduplication.max_distance is None  # as the way of matching has it
    assert settings.deduplication.remove == ("identical", "same-pixels", "similar")
    assert settings.deduplication.quarantine_days == 30
    assert settings.deduplication.prioritization_rules[:2] == ("original", "higher-pixel-count")
    assert settings.daemon.processing_timeout == timedelta(seconds=30)
    assert settings.daemon.full_run_interval == timedelta(hours=24)
    assert settings.elasticsearch.host is None
    assert (settings.elasticsearch.port, settings.elasticsearch.index) == (9200, "images")
    assert (settings.stats.enabled, settings.stats.port) == (True, 8000)


def test_the_command_line_beats_the_environment_and_that_the_file(elsewhere: Path) -> None:
    text = "py_image_dedup: {analysis: {threads: 3, recursive: false}, deduplication: {max_distance: 0.3}}"
    environment = {"PY_IMAGE_DEDUP_ANALYSIS_THREADS": "5", "PY_IMAGE_DEDUP_DEDUPLICATION_MAX_DISTANCE": "0.2"}
    settings = read(elsewhere, text, environment, deduplication__max_distance=0.15).settings
    assert settings.analysis.recursive is False
    assert settings.analysis.threads == 5
    assert settings.deduplication.max_distance == 0.15


@pytest.mark.parametrize("place", [".", "home/.config", "home"])
def test_the_file_is_found_in_each_of_its_places(elsewhere: Path, place: str) -> None:
    (elsewhere / place / "py_image_dedup.yaml").write_text("py_image_dedup: {analysis: {threads: 7}}")
    loaded = load(environment={})
    assert loaded.settings.analysis.threads == 7
    assert loaded.file is not None
    assert loaded.file.resolve() == (elsewhere / place / "py_image_dedup.yaml").resolve()


def test_the_environment_of_published_compose_files_works(elsewhere: Path) -> None:
    environment = {
        "PY_IMAGE_DEDUP_DRY_RUN": "False",
        "PY_IMAGE_DEDUP_ANALYSIS_SOURCE_DIRECTORIES": "/mnt/source/,/mnt/other",
        "PY_IMAGE_DEDUP_ANALYSIS_RECURSIVE": "True",
        "PY_IMAGE_DEDUP_ANALYSIS_ACROSS_DIRS": "True",
        "PY_IMAGE_DEDUP_ANALYSIS_FILE_EXTENSIONS": ".png,.JPG,jpeg",
        "PY_IMAGE_DEDUP_ANALYSIS_THREADS": "8",
        "PY_IMAGE_DEDUP_ANALYSIS_USE_EXIF_DATA": "True",
        "PY_IMAGE_DEDUP_DEDUPLICATION_DUPLICATES_TARGET_DIRECTORY": "/mnt/duplicates/",
        "PY_IMAGE_DEDUP_ELASTICSEARCH_AUTO_CREATE_INDEX": "True",
        "PY_IMAGE_DEDUP_ELASTICSEARCH_HOST": "elasticsearch",
        "PY_IMAGE_DEDUP_ELASTICSEARCH_MAX_DISTANCE": "0.2",
        "PY_IMAGE_DEDUP_REMOVE_EMPTY_FOLDERS": "False",
    }
    loaded = load(environment=environment)
    settings = loaded.settings
    assert settings.dry_run is False
    assert settings.analysis.source_directories == (Path("/mnt/source"), Path("/mnt/other"))
    assert settings.analysis.scope == "all"
    assert settings.analysis.file_extensions == (".png", ".jpg", ".jpeg")
    assert settings.analysis.threads == 8
    assert settings.deduplication.duplicates_target_directory == Path("/mnt/duplicates")
    assert settings.deduplication.max_distance == 0.2
    assert settings.elasticsearch.host == "elasticsearch"
    assert [warning.split()[0] for warning in loaded.warnings] == ["elasticsearch.max_distance", "analysis.across_dirs"]


def test_an_empty_variable_counts_as_not_set(elsewhere: Path) -> None:
    environment = {"PY_IMAGE_DEDUP_DEDUPLICATION_DUPLICATES_TARGET_DIRECTORY": " "}
    assert load(environment=environment).settings.deduplication.duplicates_target_directory is None


def test_a_misspelt_variable_is_an_error_and_a_foreign_one_is_not(elsewhere: Path) -> None:
    environment = {
        "PY_IMAGE_DEDUP_ANALYSIS_PROTECTED_DIRECTORY": "/originals",
        "PY_IMAGE_DEDUP_SERVICE_HOST": "10.0.0.1",
        "PY_IMAGE_DEDUP_PORT_8000_TCP_ADDR": "10.0.0.1",
        "PY_IMAGE_DEDUP_WHATEVER_ELSE": "x",
    }
    (problem,) = problems(elsewhere, "", environment)
    assert problem.startswith("PY_IMAGE_DEDUP_ANALYSIS_PROTECTED_DIRECTORY: unknown name")
    assert "did you mean PY_IMAGE_DEDUP_ANALYSIS_PROTECTED_DIRECTORIES?" in problem
    del environment["PY_IMAGE_DEDUP_ANALYSIS_PROTECTED_DIRECTORY"]
    assert [warning.split()[0] for warning in load(environment=environment).warnings] == [
        "PY_IMAGE_DEDUP_WHATEVER_ELSE"
    ]


def test_all_errors_are_told_at_once_with_key_cause_and_line(elsewhere: Path) -> None:
    text = """\
py_image_dedup:
  dry_run: maybe
  analysis:
    recusrive: true
    threads: many
    exclusions: ["("]
  deduplication:
    max_distance: 2
    prioritization_rules:
      - name: more-exif-dat
elsewhere: 1
"""
    found = problems(elsewhere, text, {"PY_IMAGE_DEDUP_STATS_PORT": "0"})
    expected = {
        "dry_run": ("'maybe' is neither true nor false", "line 2"),
        "analysis.recusrive": ("did you mean analysis.recursive?", "line 4"),
        "analysis.threads": ("'many' is not a whole number", "line 5"),
        "analysis.exclusions": ("'(' is not a regular expression", "line 6"),
        "deduplication.max_distance": ("2 is not a number from 0 to 1", "line 8"),
        "deduplication.prioritization_rules": ("did you mean more-exif-data?", "line 9"),
        "elsewhere": ("everything belongs under `py_image_dedup:`", "line 11"),
        "stats.port": ("0 is not a whole number from 1 to 65535", "environment variable PY_IMAGE_DEDUP_STATS_PORT"),
    }
    assert {line.partition(": ")[0] for line in found} == expected.keys()
    for line in found:
        cause, place = expected[line.partition(": ")[0]]
        assert cause in line
        assert place in line


@pytest.mark.parametrize(
    ("key", "value", "cause"),
    [
        ("dry_run", "2", "neither true nor false"),
        ("analysis.threads", "0", "from 1 to 1024"),
        ("analysis.threads", "1.5", "not a whole number"),
        ("analysis.threads", "[1]", "a list is not a whole number"),
        ("analysis.scope", "everything", "not one of all, root, folder"),
        ("analysis.file_extensions", "['*.*']", "not a file extension"),
        ("analysis.source_directories", "{a: b}", "a section is not a list"),
        ("analysis.source_directories", "['']", "an empty path"),
        ("analysis.decode_timeout", "soon", "not a duration"),
        ("deduplication.action", "moov", "did you mean move?"),
        ("deduplication.action", "move", "needs deduplication.duplicates_target_directory"),
        ("deduplication.remove", "[identical, unlike]", "not one of identical, same-pixels, similar, edited, partial"),
        ("deduplication.max_distance", "true", "not a number from 0 to 1"),
        ("deduplication.max_distance", ".nan", "not a number from 0 to 1"),
        ("deduplication.quarantine_days", "-1", "of 0 or more"),
        ("deduplication.prioritization_rules", "[{folder-order: }]", "needs arguments"),
        ("deduplication.prioritization_rules", "7", "a list of rules is needed"),
        ("elasticsearch.password", "secret", "needs elasticsearch.username"),
        ("elasticsearch.host", "http://elastic:9200", "scheme, port and user name are separate keys"),
        ("elasticsearch.port", "http", "from 1 to 65535"),
        ("stats", "on", "must be a section"),
        ("daemon.file_observer", "fsevents", "not one of inotify, polling"),
        ("analysis", "[]", "must be a section"),
    ],
)
def test_a_wrong_value_is_told_with_its_key_and_cause(elsewhere: Path, key: str, value: str, cause: str) -> None:
    section, _, name = key.rpartition(".")
    line = f"{section}: {{{name}: {value}}}" if section else f"{name}: {value}"
    (problem,) = problems(elsewhere, f"py_image_dedup:\n  {line}\n")
    assert problem.startswith(f"{key}: ")
    assert cause in problem


def test_matches_cannot_be_verified_without_features(elsewhere: Path) -> None:
    text = "py_image_dedup: {analysis: {features: false}, deduplication: {matching: verified}}"
    (problem,) = problems(elsewhere, text)
    assert problem == "deduplication.matching: verified needs analysis.features: true (configuration)"
    without = read(elsewhere, "py_image_dedup: {analysis: {features: false}}").settings
    assert without.deduplication.matching is None


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("py_image_dedup:\n  analysis: [\n", "line 3: not valid YAML"),
        ("py_image_dedup:\n  dry_run: true\n  dry_run: false\n", "line 3: not valid YAML: found duplicate key"),
        ("just words", "must start with the key `py_image_dedup:`"),
        ("py_image_dedup: \x07", "not valid YAML"),
    ],
)
def test_broken_yaml_is_told_with_file_and_line(elsewhere: Path, text: str, cause: str) -> None:
    (problem,) = problems(elsewhere, text)
    assert problem.startswith(str(elsewhere / "given.yaml"))
    assert cause in problem


def test_a_file_that_is_no_text_or_not_there_is_told(elsewhere: Path) -> None:
    (elsewhere / "given.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match=r"given\.yaml: it is not UTF-8 text"):
        load(file=elsewhere / "given.yaml", environment={})
    with pytest.raises(ConfigError, match=r"absent\.yaml: No such file"):
        load(file=elsewhere / "absent.yaml", environment={})


@pytest.mark.parametrize("text", ["", "# nothing\n", "py_image_dedup:\n", "py_image_dedup:\n  analysis:\n"])
def test_an_empty_file_or_section_says_nothing(elsewhere: Path, text: str) -> None:
    assert read(elsewhere, text).settings.analysis.recursive is True


def test_wrong_values_log_nothing(elsewhere: Path, capfd: pytest.CaptureFixture[str]) -> None:
    problems(elsewhere, "py_image_dedup: {analysis: {threads: many}}")
    assert capfd.readouterr() == ("", "")


def test_two_configurations_share_nothing(elsewhere: Path) -> None:
    first = read(elsewhere, "py_image_dedup: {analysis: {threads: 3}}").settings
    second = read(elsewhere, "py_image_dedup: {analysis: {recursive: false}}").settings
    assert first.analysis.threads == 3
    assert second.analysis.threads != 3 or second.analysis.recursive is False
    assert first.analysis.recursive is True


def test_old_names_work_with_a_warning_and_the_new_name_wins(elsewhere: Path) -> None:
    loaded = read(elsewhere, "py_image_dedup: {daemon: {timeout: 45s}, elasticsearch: {max_distance: 0.3}}")
    assert loaded.settings.daemon.processing_timeout == timedelta(seconds=45)
    assert loaded.settings.deduplication.max_distance == 0.3
    assert any("daemon.timeout is the old name of daemon.processing_timeout" in each for each in loaded.warnings)
    loaded = read(elsewhere, "py_image_dedup: {daemon: {timeout: 45s, processing_timeout: 5s}}")
    assert loaded.settings.daemon.processing_timeout == timedelta(seconds=5)
    assert any("daemon.timeout is ignored" in each for each in loaded.warnings)


def test_a_wrong_value_under_an_old_name_is_told_with_its_line(elsewhere: Path) -> None:
    (problem,) = problems(elsewhere, "py_image_dedup:\n  elasticsearch:\n    max_distance: near\n")
    assert problem.startswith("deduplication.max_distance: ")
    assert "line 3" in problem


def test_an_old_name_in_a_stronger_source_beats_the_new_one_in_a_weaker(elsewhere: Path) -> None:
    environment = {"PY_IMAGE_DEDUP_ELASTICSEARCH_MAX_DISTANCE": "0.25"}
    text = "py_image_dedup: {deduplication: {max_distance: 0.3}}"
    assert read(elsewhere, text, environment).settings.deduplication.max_distance == 0.25


@pytest.mark.parametrize(
    ("words", "expected"),
    [("30s", 30), ("5m", 300), ("0:05:00", 300), ("24h", 86400), ("90", 90), ("1d", 86400), ("1h30m", 5400)],
)
def test_lengths_of_time_are_read_as_people_write_them(elsewhere: Path, words: str, expected: int) -> None:
    text = f"py_image_dedup: {{deduplication: {{max_file_modification_time_diff: {words}}}}}"
    found = read(elsewhere, text).settings.deduplication.max_file_modification_time_diff
    assert found == timedelta(seconds=expected)


def test_rules_are_accepted_in_each_way_to_write_them(elsewhere: Path) -> None:
    text = """
py_image_dedup:
  deduplication:
    prioritization_rules:
      - more-exif-data
      - name: bigger-file-size
      - folder-order: [/photos/edited, Originals]
      - "preferred-formats: PNG, JPEG"
"""
    rules = read(elsewhere, text).settings.deduplication.prioritization_rules
    folder_order = {"folder-order": ["/photos/edited", "Originals"]}
    assert rules == ("more-exif-data", "bigger-file-size", folder_order, "preferred-formats: PNG, JPEG")
    environment = {"PY_IMAGE_DEDUP_DEDUPLICATION_PRIORITIZATION_RULES": "more-exif-data, {'name': 'has-gps'}"}
    rules = load(environment=environment).settings.deduplication.prioritization_rules
    assert rules == ("more-exif-data", "has-gps")


def test_the_rules_for_identical_files_may_be_set(elsewhere: Path) -> None:
    text = "py_image_dedup: {deduplication: {identical_rules: [protected, folder-order, shorter-file-name]}}"
    found = read(elsewhere, text).settings.deduplication.identical_rules
    assert found == ("protected", "folder-order", "shorter-file-name")
    (problem,) = problems(elsewhere, "py_image_dedup: {deduplication: {identical_rules: [original]}}", {})
    assert "cannot tell files with the same bytes apart" in problem


def test_relative_paths_and_homes_become_absolute(elsewhere: Path) -> None:
    text = "py_image_dedup: {analysis: {source_directories: [pictures, ~/photos, a/../b]}}"
    found = read(elsewhere, text).settings.analysis.source_directories
    assert found == (elsewhere / "pictures", elsewhere / "home" / "photos", elsewhere.resolve() / "b")


def test_exclusions_are_compiled(elsewhere: Path) -> None:
    found = read(elsewhere, r"py_image_dedup: {analysis: {exclusions: ['.*/private/.*', '\.tmp$']}}").settings
    assert found.analysis.exclusions == (re.compile(r".*/private/.*"), re.compile(r"\.tmp$"))


def test_the_defaults_file_of_an_image_is_weaker_than_everything_else(elsewhere: Path) -> None:
    defaults = elsewhere / "image.yaml"
    defaults.write_text("py_image_dedup: {state_directory: /state, analysis: {threads: 3, recursive: false}}\n")
    image = {DEFAULTS_FILE: str(defaults)}
    assert load(environment=image).settings.state_directory == Path("/state")
    text = "py_image_dedup: {state_directory: /mine}\n"
    loaded = read(elsewhere, text, {**image, "PY_IMAGE_DEDUP_ANALYSIS_THREADS": "5"})
    assert loaded.settings.state_directory == Path("/mine")
    assert loaded.settings.analysis.threads == 5
    assert loaded.settings.analysis.recursive is False
    assert loaded.file == elsewhere / "given.yaml"
    assert loaded.warnings == ()


def test_each_value_knows_where_it_comes_from(elsewhere: Path) -> None:
    text = "py_image_dedup:\n  analysis:\n    threads: 3\n    across_dirs: true\n    recursive: false\n"
    environment = {"PY_IMAGE_DEDUP_ANALYSIS_RECURSIVE": "true"}
    file = elsewhere / "given.yaml"
    file.write_text(text, encoding="utf-8")
    loaded = load(file=file, environment=environment, command_line={"dry_run": False})
    assert loaded.origins == {
        ("dry_run",): "command line",
        ("analysis", "threads"): f"{file}, line 3",
        ("analysis", "across_dirs"): f"{file}, line 4",
        ("analysis", "scope"): f"analysis.across_dirs, {file}, line 4",
        ("analysis", "recursive"): "environment variable PY_IMAGE_DEDUP_ANALYSIS_RECURSIVE",
    }


def test_an_error_brings_the_warnings_and_the_rest_of_the_settings(elsewhere: Path) -> None:
    text = "py_image_dedup: {dry_run: perhaps, analysis: {across_dirs: true, threads: 3}}\n"
    with pytest.raises(ConfigError) as caught:
        read(elsewhere, text)
    assert [warning.split()[0] for warning in caught.value.warnings] == ["analysis.across_dirs"]
    assert caught.value.settings is not None
    assert caught.value.settings.analysis.threads == 3


@pytest.mark.parametrize(
    ("value", "classes"),
    [
        ("[identical]", ("identical",)),
        ("[+partial]", ("identical", "same-pixels", "similar", "partial")),
        ("'+partial, +similar'", ("identical", "same-pixels", "similar", "partial")),
        ("[]", ()),
    ],
)
def test_a_class_with_a_plus_is_added_to_the_default(elsewhere: Path, value: str, classes: tuple[str, ...]) -> None:
    text = f"py_image_dedup: {{deduplication: {{remove: {value}}}}}\n"
    assert read(elsewhere, text).settings.deduplication.remove == classes


def test_classes_with_and_without_a_plus_do_not_mix(elsewhere: Path) -> None:
    (problem,) = problems(elsewhere, "py_image_dedup: {deduplication: {remove: [identical, +partial]}}\n")
    assert "either all classes have a +" in problem


VERSION_2 = """
py_image_dedup:
  analysis:
    across_dirs: false
    file_extensions: [.png, .jpg, .jpeg]
    recursive: true
    source_directories: [/home/myuser/pictures/]
    exclusions: [".*/excluded/.*"]
    threads: 1
    use_exif_data: true
  deduplication:
    duplicates_target_directory: /home/myuser/pictures/duplicates/
    max_file_modification_time_diff: 0:05:00
    prioritization_rules:
      - name: "more-exif-data"
      - name: "less-exif-data"
      - name: "bigger-file-size"
      - name: "smaller-file-size"
      - name: "newer-file-modification-date"
      - name: "older-file-modification-date"
      - name: "smaller-distance"
      - name: "bigger-distance"
      - name: "longer-path"
      - name: "shorter-path"
      - name: "contains-copy-in-file-name"
      - name: "longer-file-name"
      - name: "shorter-file-name"
      - name: "longer-folder-path"
      - name: "shorter-folder-path"
      - name: "higher-score"
      - name: "lower-score"
  daemon:
    timeout: 30s
    file_observer: polling
  dry_run: true
  elasticsearch:
    auto_create_index: true
    host: 127.0.0.1
    port: 9200
    index: images
    max_distance: 0.1
  remove_empty_folders: false
  stats:
    enabled: true
    port: 8000
"""
"""All keys and values of version 2's reference configuration, which its users copied."""


def test_the_reference_configuration_of_version_2_loads_with_its_effects_and_a_line_for_each_old_name(
    elsewhere: Path,
) -> None:
    loaded = read(elsewhere, VERSION_2)
    settings = loaded.settings
    assert settings.analysis.source_directories == (Path("/home/myuser/pictures"),)
    assert settings.analysis.scope == "root"
    assert settings.deduplication.max_file_modification_time_diff == timedelta(minutes=5)
    assert (settings.deduplication.matching, settings.deduplication.max_distance) == ("distance", 0.1)
    assert settings.daemon.processing_timeout == timedelta(seconds=30)
    assert len(settings.deduplication.prioritization_rules) == 17
    assert settings.deduplication.prioritization_rules[10] == "doesnt-contain-copy-in-file-name"
    assert sorted(warning.split()[0] for warning in loaded.warnings) == [
        "analysis.across_dirs",
        "daemon.timeout",
        "elasticsearch.max_distance",
        "prioritization_rules:",
    ]
    rules = next(warning for warning in loaded.warnings if warning.startswith("prioritization_rules:"))
    assert "longer-path has no effect, as in version 2; use longer-folder-path and longer-file-name" in rules
    assert "contains-copy-in-file-name has the effect that it had in version 2" in rules


def test_rules_that_version_2_ignored_have_no_effect_and_the_names_of_today_mean_what_they_say(elsewhere: Path) -> None:
    text = "py_image_dedup: {deduplication: {prioritization_rules: [shorter-path, contains-copy-in-file-name]}}"
    loaded = read(elsewhere, text)
    assert loaded.settings.deduplication.prioritization_rules == ("shorter-path", "contains-copy-in-file-name")
    (warning,) = loaded.warnings
    assert warning.startswith("prioritization_rules: shorter-path has no effect, as in version 2; use shorter-folder-")
    environment = {"PY_IMAGE_DEDUP_DEDUPLICATION_PRIORITIZATION_RULES": "longer-path,bigger-file-size"}
    assert load(environment=environment).warnings[0].startswith("prioritization_rules: longer-path has no effect")


def test_the_distance_of_version_2_decides_alone_unless_matching_is_set(elsewhere: Path) -> None:
    old = {"PY_IMAGE_DEDUP_ELASTICSEARCH_MAX_DISTANCE": "0.2"}
    loaded = load(environment=old)
    assert (loaded.settings.deduplication.matching, loaded.settings.deduplication.max_distance) == ("distance", 0.2)
    assert len(loaded.warnings) == 1
    assert "pictures match by distance alone, as in version 2" in loaded.warnings[0]
    verified = load(environment={**old, "PY_IMAGE_DEDUP_DEDUPLICATION_MATCHING": "verified"})
    assert verified.settings.deduplication.matching == "verified"
    assert "as in version 2" not in verified.warnings[0]
    strict = load(environment=old, command_line={"deduplication.similarity": "strict"})
    assert strict.settings.deduplication.matching is None
    new = load(environment={"PY_IMAGE_DEDUP_DEDUPLICATION_MAX_DISTANCE": "0.2"})
    assert new.settings.deduplication.matching is None


def test_secrets_are_read_from_files(elsewhere: Path) -> None:
    (elsewhere / "key").write_text("sesame\n")
    environment = {"PY_IMAGE_DEDUP_ELASTICSEARCH_API_KEY_FILE": str(elsewhere / "key")}
    assert load(environment=environment).settings.elasticsearch.api_key == "sesame"
    both = {**environment, "PY_IMAGE_DEDUP_ELASTICSEARCH_API_KEY": "given"}
    assert load(environment=both).settings.elasticsearch.api_key == "given"
    with pytest.raises(ConfigError, match=r"elasticsearch\.api_key: /nowhere cannot be read: No such file"):
        load(environment={"PY_IMAGE_DEDUP_ELASTICSEARCH_API_KEY_FILE": "/nowhere"})


def test_a_notification_command_is_a_list_or_text_and_an_address_has_a_scheme(elsewhere: Path) -> None:
    text = "py_image_dedup: {notify: {command: 'mail -s \"new photos\" me', url: https://example.org/hook}}"
    notify = read(elsewhere, text).settings.notify
    assert notify.command == ("mail", "-s", "new photos", "me")
    assert notify.url == "https://example.org/hook"
    (problem,) = problems(elsewhere, "py_image_dedup: {notify: {url: file:///etc/passwd}}")
    assert problem.startswith("notify.url: 'file:///etc/passwd' is not a web address")
