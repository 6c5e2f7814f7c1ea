"""The configuration as YAML: the reference with all options, and the values in force with their origins."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any

from ruamel.yaml import YAML

from py_image_dedup.config.settings import Settings
from py_image_dedup.config.sources import MAIN, OPTIONS, SECTIONS, KeyPath, variable
from py_image_dedup.config.value_types import Option

_HEAD = f"""\
# All options with their defaults. An option that is commented out has no default, or one that depends on the machine.
#
# The program reads {MAIN}.yaml in ./, ~/.config/ or ~/, or the file given with --config FILE.
# Environment variables override the file: {variable(("analysis", "threads"))}=2, lists separated by commas.
# The command line overrides both.
"""

_HIDDEN = "(set, not shown)"


def _yaml(value: Any) -> str:
    """Return the YAML of one key and its value, without a line break at the end."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(value, out)
    return out.getvalue().removesuffix("...\n").rstrip("\n")


def _tree(lines: Callable[[KeyPath, Option], Iterator[str]]) -> Iterator[str]:
    """Yield the lines of all options, as ``lines`` makes them, with those of the sections around them."""
    yield f"{MAIN}:"
    above: KeyPath = ()
    for path, option in OPTIONS.items():
        if path[:-1] != above and path[:-1] in SECTIONS and path[:-1]:
            yield f"  {path[0]}:"
        above = path[:-1]
        for line in lines(path, option):
            yield textwrap.indent(line, "  " * len(path), lambda part: bool(part.strip()))


def _constant(option: Option) -> Any:
    """Return the default of an option if it is the same on every machine, otherwise ``None``."""
    if option.default_words:
        return None
    return option.default() if callable(option.default) else option.default


def _described(path: KeyPath, option: Option) -> Iterator[str]:
    words = option.description
    if option.replaced_by:
        words += f" Deprecated; use {option.replaced_by}."
    if option.default_words:
        words += f" Default: {option.default_words}."
    yield textwrap.fill(words, 110, initial_indent="# ", subsequent_indent="# ")
    value = _constant(option)
    if value not in (None, ()) and not option.replaced_by:
        yield _yaml({path[-1]: option.value_type.write(value)})
        return
    example = option.value_type.write(value) if option.replaced_by else option.example
    yield textwrap.indent(_yaml({path[-1]: example}), "# ")


def reference() -> str:
    """Return the reference configuration: every option with its meaning and its default."""
    return _HEAD + "\n".join(_tree(_described)) + "\n"


def shown(settings: Settings, origins: Mapping[KeyPath, str] | None = None) -> str:
    """Return the values in force as YAML that can be loaded again; secrets are left out.

    Args:
        settings: The values.
        origins: Where each value comes from, for a comment behind it; options that are missing have their default.
            ``None`` for no comments.
    """

    def lines(path: KeyPath, option: Option) -> Iterator[str]:
        value = attrgetter(".".join(path))(settings)
        if option.replaced_by:
            return
        origin = "" if origins is None else f"  # {origins.get(path, 'default')}"
        if value is None:
            yield f"# {path[-1]}:{origin}"
        elif option.secret:
            yield f"# {path[-1]}: {_HIDDEN}{origin}"
        elif isinstance(value, str) and "\n" in value:
            yield from (origin.strip(), _yaml({path[-1]: value}))  # a comment would be part of the text
        else:
            first, *more = _yaml({path[-1]: option.value_type.write(value)}).split("\n")
            yield "\n".join((first + origin, *more))

    return "\n".join(_tree(lines)) + "\n"
