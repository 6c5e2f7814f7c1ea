"""The schema of the configuration, and its sources: command line, environment, configuration file, defaults file.

Each source is one of container-app-conf's, checked before its values are used: unknown keys are problems, old names
become the new ones, and every value knows its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

from container_app_conf import ConfigBase
from container_app_conf.entry import ConfigEntry
from container_app_conf.source import DataSource
from container_app_conf.source.env_source import EnvSource
from container_app_conf.source.yaml_source import YamlSource
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from py_image_dedup.config.problem import ConfigError, Problem
from py_image_dedup.config.settings import Settings
from py_image_dedup.config.value_types import Option, nearest

MAIN = "py_image_dedup"
"""The top-level key of the file and, in upper case, the prefix of every environment variable."""

KeyPath = tuple[str, ...]
"""The keys that lead to an option, without ``MAIN``."""


def _walk(settings: Any, above: KeyPath) -> Iterator[tuple[KeyPath, Option]]:
    for each in fields(settings):
        found: Option | None = each.metadata.get("option")
        if found is None:  # a section
            yield from _walk(each.default_factory, (*above, each.name))
        else:
            yield (*above, each.name), found


OPTIONS: Mapping[KeyPath, Option] = dict(_walk(Settings, ()))
"""All options by key path, in the order of the reference configuration."""

SECTIONS = frozenset(path[:-1] for path in OPTIONS)
"""The key paths of sections."""

OLD_NAMES: Mapping[KeyPath, KeyPath] = {
    tuple(old.split(".")): path for path, each in OPTIONS.items() for old in each.old_names
}
"""Current key paths by old key path."""


class Entry(ConfigEntry):  # type: ignore[misc]
    """An option as container-app-conf needs it. A wrong value raises ``ValueError``, and nothing is logged."""

    def __init__(self, path: KeyPath, option: Option) -> None:
        self.value_type = option.value_type
        super().__init__(
            key_path=[MAIN, *path], description=option.description, example=option.example, secret=option.secret
        )

    @property
    def path(self) -> KeyPath:
        """The key path without ``MAIN``."""
        return tuple(self.key_path[1:])

    def _parse_value(self, value: Any) -> Any:
        return None if value is None else self.value_type.read(value)

    def _value_to_type(self, value: Any) -> Any:
        return self.value_type.read(value)

    def _type_to_value(self, type: Any) -> Any:  # noqa: A002 - the name is the library's
        return None if type is None else self.value_type.write(type)


class Configuration(ConfigBase):  # type: ignore[misc]
    """All options with the values from the sources; an option that no source sets has the value ``None``.

    Attributes:
        problems: ``(entry, source, cause)`` of every invalid value.
    """

    problems: list[tuple[Entry, DataSource, str]]

    def __new__(cls, data_sources: list[DataSource]) -> Self:
        """Read the sources, the strongest first; nothing is shared with other instances."""
        made: Self = super().__new__(cls, data_sources=data_sources, validate=False, singleton=False)
        return made

    def load_config(self, validate: bool) -> None:  # noqa: ARG002, FBT001 - the signature is the library's
        """Read all values; a wrong one does not stop the others, so that the user sees all errors at once."""
        self.problems = []
        for source in reversed(self.data_sources):
            source.load()
            for entry in self.entries():
                if source.has(entry):
                    try:
                        entry.value = source.get(entry)
                    except ValueError as error:
                        self.problems.append((entry, source, str(error)))

    def entries(self) -> list[Entry]:
        """Return all options."""
        return list(self._config_entries.values())

    def source_of(self, path: KeyPath) -> DataSource | None:
        """Return the strongest source that sets an option, or ``None``."""
        entry = self.entry(path)
        return next((source for source in self.data_sources if source.has(entry)), None)

    def entry(self, path: KeyPath) -> Entry:
        """Return an option with its value."""
        found: Entry = self._config_entries["_".join((MAIN, *path))]
        return found

    def given(self, path: KeyPath) -> bool:
        """Return whether any source sets an option."""
        return self.source_of(path) is not None


for _path, _option in OPTIONS.items():
    setattr(Configuration, "_".join(_path).upper(), Entry(_path, _option))


PREFIX = f"{MAIN}_".upper()

DEFAULTS_FILE = f"{PREFIX}DEFAULTS_FILE"
"""The environment variable that names a YAML file with defaults, weaker than everything else.

A container image sets its own defaults this way: variables set by the image would override the user's file.
"""

# Container engines set these variables for a service that has the name of the program.
_FROM_ENGINES = re.compile(r"SERVICE_(HOST|PORT)(_\w+)?|(PORT|NAME)|PORT_\d+_(TCP|UDP)(_\w+)?|ENV_\w+")


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(path)


class _Checked(DataSource):  # type: ignore[misc]
    """A source that collects its problems and warnings.

    Attributes:
        problems: Errors found while loading.
        warnings: Remarks for the user; the values are used.
        by_old_names: Options whose values are given by an old name.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.by_old_names: set[tuple[str, ...]] = set()

    def place(self, path: tuple[str, ...]) -> str:
        """Return where the value of an option is set."""
        raise NotImplementedError

    def problem(self, path: tuple[str, ...], cause: str) -> None:
        """Record an error."""
        self.problems.append(Problem(_dotted(path), cause, self.place(path)))

    def renamed(self, old: tuple[str, ...], new: tuple[str, ...], *, both: bool) -> None:
        """Record a warning about an old name."""
        which = "is ignored: it is the old name of" if both else "is the old name of"
        self.warnings.append(f"{_dotted(old)} {which} {_dotted(new)} ({self.place(old)})")
        if not both:
            self.by_old_names.add(new)


class ConfigFile(YamlSource, _Checked):  # type: ignore[misc]
    """The YAML file: the given one, or ``py_image_dedup.yaml`` in the current folder, ``~/.config`` or ``~``.

    Attributes:
        file: Path of the file; ``None`` if there is none.
    """

    def __init__(self, given: Path | None = None) -> None:
        super().__init__(MAIN)
        self.file = given
        self._lines: dict[tuple[str, ...], int] = {}

    def _find_config_file(self) -> str | None:
        if self.file is None:
            found = super()._find_config_file()
            self.file = Path(found) if found else None
        return str(self.file) if self.file else None

    def place(self, path: tuple[str, ...]) -> str:
        """Return the file and the line."""
        line = self._lines.get(path)
        return f"{self.file}, line {line}" if line else str(self.file)

    def _load_file(self, file_path: str) -> dict[str, Any]:
        try:
            text = Path(file_path).read_text(encoding="utf-8")
            tree = self.yaml.load(text)
        except (OSError, UnicodeDecodeError) as error:
            cause = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError([Problem("", cause, file_path)]) from error
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"{file_path}, line {mark.line + 1}" if mark else file_path
            raise ConfigError([Problem("", f"not valid YAML: {error.problem or error.context}", place)]) from error
        except YAMLError as error:
            raise ConfigError([Problem("", f"not valid YAML: {' '.join(str(error).split())}", file_path)]) from error
        if tree is None:
            return {}
        if not isinstance(tree, CommentedMap):
            raise ConfigError([Problem("", f"it must start with the key `{MAIN}:`", file_path)])
        for key in tree:
            if key != MAIN:
                self._lines[(str(key),)] = tree.lc.key(key)[0] + 1
                hint = nearest(str(key), [MAIN]) or f"; everything belongs under `{MAIN}:`"
                self.problem((str(key),), f"unknown key{hint}")
        return {MAIN: self._section(tree.get(MAIN), ())}

    def _section(self, found: Any, above: tuple[str, ...]) -> dict[str, Any]:
        """Return the known keys of a section; the others become problems."""
        if found is None:
            return {}
        if not isinstance(found, CommentedMap):
            self.problem(above, "must be a section with keys, not a single value")
            return {}
        section: dict[str, Any] = {}
        for key, value in found.items():
            path = (*above, str(key))
            self._lines[path] = found.lc.key(key)[0] + 1
            if path in SECTIONS:
                section[path[-1]] = self._section(value, path)
            elif path in OPTIONS:
                section[path[-1]] = value
            elif path in OLD_NAMES:
                self._lines.setdefault(OLD_NAMES[path], self._lines[path])
                section[path[-1]] = value
            else:
                known = [_dotted(each) for each in (*OPTIONS, *SECTIONS) if each]
                self.problem(path, f"unknown key{nearest(_dotted(path), known)}")
        return section

    def load(self) -> None:
        """Read the file and move values from old names to the new ones."""
        super().load()
        for old, new in OLD_NAMES.items():
            value = self._take(old)
            if value is not None:
                both = self._at(new) is not None
                self.renamed(old, new, both=both)
                if not both:
                    self._set(new, value)

    def _parent(self, path: tuple[str, ...]) -> dict[str, Any]:
        level: dict[str, Any] = self.root.setdefault(MAIN, {})
        for key in path[:-1]:
            level = level.setdefault(key, {})
        return level

    def _at(self, path: tuple[str, ...]) -> Any:
        return self._parent(path).get(path[-1])

    def _take(self, path: tuple[str, ...]) -> Any:
        return self._parent(path).pop(path[-1], None)

    def _set(self, path: tuple[str, ...], value: Any) -> None:
        self._parent(path)[path[-1]] = value


def variable(path: tuple[str, ...]) -> str:
    """Return the name of the environment variable of an option."""
    return PREFIX + "_".join(path).upper()


class Environment(EnvSource, _Checked):  # type: ignore[misc]
    """The environment variables; an empty one counts as not set."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__()
        self._variables = variables

    def place(self, path: tuple[str, ...]) -> str:
        """Return the name of the variable that was used, which may be that of an old name."""
        names = [variable(path), *(variable(old) for old, new in OLD_NAMES.items() if new == path)]
        return "environment variable " + next((name for name in names if self._variables.get(name)), names[0])

    def _load(self) -> dict[str, str]:
        found = {name: value for name, value in self._variables.items() if name.startswith(PREFIX) and value.strip()}
        found.pop(DEFAULTS_FILE, None)
        self._read_secrets(found)
        for old, new in OLD_NAMES.items():
            if variable(old) in found:
                self.renamed(old, new, both=variable(new) in found)
                found.setdefault(variable(new), found.pop(variable(old)))
                found.pop(variable(old), None)
        known = {variable(path) for path in OPTIONS}
        for name in sorted(found.keys() - known):
            self._unknown(name, known)
        return found

    def _read_secrets(self, found: dict[str, str]) -> None:
        """Replace the names of files with secrets by what these contain, as Docker and Kubernetes provide them."""
        for path, each in OPTIONS.items():
            name = variable(path)
            if not each.secret or (*path[:-1], f"{path[-1]}_file") in OPTIONS or f"{name}_FILE" not in found:
                continue
            file = found.pop(f"{name}_FILE")
            try:
                text = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                self.problems.append(Problem(_dotted(path), f"{file} cannot be read: {cause}", f"{name}_FILE"))
            else:
                found.setdefault(name, text)

    def _unknown(self, name: str, known: set[str]) -> None:
        """Record a problem for a misspelt variable; one that resembles no option may belong to another program."""
        rest = name.removeprefix(PREFIX)
        if _FROM_ENGINES.fullmatch(rest):
            return
        by_rest = {each.removeprefix(PREFIX).lower(): each for each in known}
        hint = nearest(rest, by_rest)
        ours = any(rest.startswith(f"{section[0].upper()}_") for section in SECTIONS if section)
        if hint or ours:
            for short, full in by_rest.items():
                hint = hint.replace(f" {short}?", f" {full}?")
            self.problems.append(Problem(name, f"unknown name{hint}", "environment variable"))
        else:
            self.warnings.append(f"{name} is not an option of this program and is ignored (environment variable)")


class CommandLine(_Checked):
    """The values of the command line by dotted key path; ``None`` means not given."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        self._values = values

    def place(self, path: tuple[str, ...]) -> str:  # noqa: ARG002 - there is only one place
        """Return ``command line``."""
        return "command line"

    def _load(self) -> dict[str, Any]:
        return {key: value for key, value in self._values.items() if value is not None}

    def has(self, entry: Entry) -> bool:
        """Return whether the option was given."""
        return _dotted(entry.path) in self.root

    def get(self, entry: Entry) -> Any:
        """Return the given value."""
        return self.root[_dotted(entry.path)]


def sources_of(
    file: Path | None, variables: Mapping[str, str], command_line: Mapping[str, Any]
) -> Iterator[ConfigFile | Environment | CommandLine]:
    """Yield the sources, the strongest first."""
    yield CommandLine(command_line)
    yield Environment(variables)
    yield ConfigFile(file)
    if variables.get(DEFAULTS_FILE, "").strip():
        yield ConfigFile(Path(variables[DEFAULTS_FILE]))
