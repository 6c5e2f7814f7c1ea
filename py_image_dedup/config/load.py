"""File, environment and command line become settings, or one error that says everything that is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from py_image_dedup.config.problem import ConfigError, Problem
from py_image_dedup.config.settings import Settings
from py_image_dedup.config.sources import OPTIONS, ConfigFile, Configuration, sources_of


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used.

    Attributes:
        settings: All values.
        file: The file that was read, if there is one.
        warnings: For the user, one line each.
    """

    settings: Settings
    file: Path | None
    warnings: tuple[str, ...]


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    command_line: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read the configuration.

    Args:
        file: The YAML file; ``None``: the first ``py_image_dedup.yaml`` in ``./``, ``~/.config/`` and ``~/``.
        environment: Instead of the process's own.
        command_line: Values by dotted key path, stronger than the others; ``None`` values are ignored.

    Raises:
        ConfigError: Something is wrong; it has all problems.
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
    if problems:
        raise ConfigError(problems)
    warnings = [warning for source in reversed(sources) for warning in source.warnings]
    for path, option in OPTIONS.items():
        if option.replaced_by and configuration.given(path):
            warnings.append(f"{'.'.join(path)} still works; its successor is {option.replaced_by}")
    if not configuration.given(("analysis", "scope")) and settings.analysis.across_dirs:
        settings = replace(settings, analysis=replace(settings.analysis, scope="all"))
    found = next(source.file for source in sources if isinstance(source, ConfigFile))
    return Loaded(settings, found, tuple(warnings))


def _settings(configuration: Configuration) -> Settings:
    """Put the given values into the settings; the others keep their defaults."""
    sections: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in configuration.entries():
        if entry.value is not None:
            sections.setdefault(entry.path[:-1], {})[entry.path[-1]] = entry.value
    settings = Settings(**sections.pop((), {}))
    changed = {path[0]: replace(getattr(settings, path[0]), **values) for path, values in sections.items()}
    return replace(settings, **changed)


def _contradictions(settings: Settings) -> list[Problem]:
    """Values that are right alone and wrong together."""
    problems = []
    if settings.deduplication.action == "move" and settings.deduplication.duplicates_target_directory is None:
        cause = "move needs deduplication.duplicates_target_directory (--target)"
        problems.append(Problem("deduplication.action", cause, "configuration"))
    if settings.deduplication.matching == "verified" and not settings.analysis.features:
        cause = "verified needs analysis.features: true"
        problems.append(Problem("deduplication.matching", cause, "configuration"))
    if settings.elasticsearch.password and not settings.elasticsearch.username:
        problems.append(Problem("elasticsearch.password", "needs elasticsearch.username", "configuration"))
    return problems
