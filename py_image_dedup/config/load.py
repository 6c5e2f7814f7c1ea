"""Loading of the settings from command line, environment and files, or of one error with all problems."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from py_image_dedup.config.problem import ConfigError, Problem
from py_image_dedup.config.settings import SHORTEST_PASSWORD, ReviewSettings, Settings, deprecated_rules
from py_image_dedup.config.sources import OPTIONS, ConfigFile, Configuration, KeyPath, sources_of


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration.

    Attributes:
        settings: The values of all options.
        file: The configuration file, if there is one.
        warnings: Remarks for the user, one line each.
        origins: Where each value comes from, by key path: a file and its line, an environment variable, the command
            line. Options with their default are missing.
    """

    settings: Settings
    file: Path | None
    warnings: tuple[str, ...]
    origins: Mapping[KeyPath, str]


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    command_line: Mapping[str, Any] | None = None,
) -> Loaded:
    """Load the configuration: the command line wins over the environment, the environment over the file.

    Values of the file that ``PY_IMAGE_DEDUP_DEFAULTS_FILE`` names, such as those of a container image, are used where
    nothing else sets them.

    Args:
        file: YAML file; ``None`` for the first ``py_image_dedup.yaml`` in ``./``, ``~/.config/`` and ``~/``.
        environment: Environment variables; ``None`` for those of the process.
        command_line: Values by dotted key path; ``None`` values are ignored.

    Raises:
        ConfigError: The configuration has errors; the exception holds all of them.
    """
    variables = os.environ if environment is None else environment
    sources = list(sources_of(file, variables, command_line or {}))
    configuration = Configuration(sources)
    problems = [problem for source in reversed(sources) for problem in source.problems]
    problems += [
        Problem(".".join(entry.path), cause, source.place(entry.path))
        for entry, source, cause in configuration.problems
    ]
    settings = _settings(configuration)
    problems += _contradictions(settings)
    warnings = [warning for source in reversed(sources) for warning in source.warnings]
    for path, option in OPTIONS.items():
        if option.replaced_by and configuration.given(path):
            warnings.append(f"{'.'.join(path)} is deprecated; use {option.replaced_by}")
    warnings += _deprecated_rules(configuration)
    origins = {path: source.place(path) for path in OPTIONS if (source := configuration.source_of(path)) is not None}
    if not configuration.given(("analysis", "scope")) and settings.analysis.across_dirs:
        settings = replace(settings, analysis=replace(settings.analysis, scope="all"))
        origins["analysis", "scope"] = f"analysis.across_dirs, {origins['analysis', 'across_dirs']}"
    if _matches_as_in_version_2(configuration):
        settings = replace(settings, deduplication=replace(settings.deduplication, matching="distance"))
        origins["deduplication", "matching"] = f"elasticsearch.max_distance, {origins['deduplication', 'max_distance']}"
        warnings = [_explained(warning) for warning in warnings]
    if problems:
        raise ConfigError(problems, warnings, settings)
    found = next(source.file for source in sources if isinstance(source, ConfigFile))
    return Loaded(settings, found, tuple(warnings), origins)


_OLD_BOUND = "elasticsearch.max_distance is the old name of"


def _matches_as_in_version_2(configuration: Configuration) -> bool:
    """Return whether the user set the distance of version 2 and nothing else about matching: then it alone decides."""
    source = configuration.source_of(("deduplication", "max_distance"))
    if source is None or ("deduplication", "max_distance") not in source.by_old_names:
        return False
    return not any(configuration.given(("deduplication", name)) for name in ("matching", "similarity"))


def _explained(warning: str) -> str:
    if not warning.startswith(_OLD_BOUND):
        return warning
    return f"{warning}; pictures match by distance alone, as in version 2, unless deduplication.matching is set"


def _deprecated_rules(configuration: Configuration) -> list[str]:
    """Return remarks about rules of version 2, one line for all of them."""
    path = ("deduplication", "prioritization_rules")
    source = configuration.source_of(path)
    entry = configuration.entry(path)
    if source is None or entry.value is None:
        return []
    remarks = list(dict.fromkeys(deprecated_rules(source.get(entry))))
    return [f"prioritization_rules: {'; '.join(remarks)}"] if remarks else []


def _settings(configuration: Configuration) -> Settings:
    """Return the settings with the given values; the other options keep their defaults."""
    sections: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in configuration.entries():
        if entry.value is not None:
            sections.setdefault(entry.path[:-1], {})[entry.path[-1]] = entry.value
    settings = Settings(**sections.pop((), {}))
    changed = {path[0]: replace(getattr(settings, path[0]), **values) for path, values in sections.items()}
    return replace(settings, **changed)


def _contradictions(settings: Settings) -> list[Problem]:
    """Return the problems of values that contradict each other."""
    problems = []
    if settings.deduplication.action == "move" and settings.deduplication.duplicates_target_directory is None:
        cause = "move needs deduplication.duplicates_target_directory (--target)"
        problems.append(Problem("deduplication.action", cause, "configuration"))
    if settings.deduplication.matching == "verified" and not settings.analysis.features:
        cause = "verified needs analysis.features: true"
        problems.append(Problem("deduplication.matching", cause, "configuration"))
    if not settings.deduplication.inspect and not settings.dry_run:
        cause = "false needs dry_run: true: files are removed only after they were compared in full"
        problems.append(Problem("deduplication.inspect", cause, "configuration"))
    if settings.analysis.scope == "against" and not settings.analysis.protected_directories:
        cause = "against needs analysis.protected_directories (--against DIR)"
        problems.append(Problem("analysis.scope", cause, "configuration"))
    if settings.analysis.max_size is not None and settings.analysis.max_size < settings.analysis.min_size:
        problems.append(Problem("analysis.max_size", "is less than analysis.min_size", "configuration"))
    if settings.elasticsearch.password and not settings.elasticsearch.username:
        problems.append(Problem("elasticsearch.password", "needs elasticsearch.username", "configuration"))
    problems += _review_contradictions(settings.review)
    return problems


def _review_contradictions(review: ReviewSettings) -> list[Problem]:
    problems = []
    if review.password is not None and len(review.password) < SHORTEST_PASSWORD:
        cause = f"is too short: use {SHORTEST_PASSWORD} characters or more"
        problems.append(Problem("review.password", cause, "configuration"))
    if review.enabled and not review.is_loopback and review.password is None and review.password_file is None:
        cause = (
            f"the page on {review.address} can be reached from other machines and needs a password: set "
            "review.password_file or review.password, or review.address: 127.0.0.1"
        )
        problems.append(Problem("review.address", cause, "configuration"))
    return problems
