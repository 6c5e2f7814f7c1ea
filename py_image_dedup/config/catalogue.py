"""All options by their key paths, as the fields of the settings declare them, and as container-app-conf wants them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Self

from container_app_conf import ConfigBase
from container_app_conf.entry import ConfigEntry
from container_app_conf.source import DataSource

from py_image_dedup.config.option import Option
from py_image_dedup.config.settings import Settings

MAIN = "py_image_dedup"
"""The key that everything is under, and, in upper case, the start of every environment variable."""

Path = tuple[str, ...]
"""The keys that lead to an option, without ``MAIN``."""


def _walk(settings: Any, above: Path) -> Iterator[tuple[Path, Option]]:
    for each in fields(settings):
        found: Option | None = each.metadata.get("option")
        if found is None:  # a section, made by its class
            yield from _walk(each.default_factory, (*above, each.name))
        else:
            yield (*above, each.name), found


OPTIONS: Mapping[Path, Option] = dict(_walk(Settings, ()))
"""Every option, in the order of the reference configuration."""

SECTIONS = frozenset(path[:-1] for path in OPTIONS)
"""The key paths that hold other keys."""

OLD_NAMES: Mapping[Path, Path] = {
    tuple(old.split(".")): path for path, each in OPTIONS.items() for old in each.old_names
}
"""Old key paths and the ones that took their place."""


class Entry(ConfigEntry):  # type: ignore[misc]
    """An option for container-app-conf. A wrong value is a ``ValueError`` with the cause, and nothing is logged."""

    def __init__(self, path: Path, option: Option) -> None:
        self.kind = option.kind
        super().__init__(
            key_path=[MAIN, *path], description=option.description, example=option.example, secret=option.secret
        )

    @property
    def path(self) -> Path:
        """The key path without ``MAIN``."""
        return tuple(self.key_path[1:])

    def _parse_value(self, value: Any) -> Any:
        return None if value is None else self.kind.read(value)

    def _value_to_type(self, value: Any) -> Any:
        return self.kind.read(value)

    def _type_to_value(self, type: Any) -> Any:  # noqa: A002 - the name is the library's
        return None if type is None else self.kind.write(type)


class Configuration(ConfigBase):  # type: ignore[misc]
    """All options with the values that the sources give; one that no source names has the value ``None``.

    Attributes:
        problems: ``(entry, source, cause)`` of every value that cannot be used.
    """

    problems: list[tuple[Entry, DataSource, str]]

    def __new__(cls, data_sources: list[DataSource]) -> Self:
        """Read the sources, of which the first is the strongest; nothing is shared with other instances."""
        made: Self = super().__new__(cls, data_sources=data_sources, validate=False, singleton=False)
        return made

    def load_config(self, validate: bool) -> None:  # noqa: ARG002, FBT001 - the signature is the library's
        """Take the values; go on after a wrong one, so that the user learns of all of them at once."""
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
        """All options."""
        return list(self._config_entries.values())

    def given(self, path: Path) -> bool:
        """Whether some source names this option."""
        entry: Entry = self._config_entries["_".join((MAIN, *path))]
        return any(source.has(entry) for source in self.data_sources)


for _path, _option in OPTIONS.items():
    setattr(Configuration, "_".join(_path).upper(), Entry(_path, _option))
