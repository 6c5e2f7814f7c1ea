"""The configuration as YAML: all options with what they mean, or the values that are in force."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

from ruamel.yaml import YAML

from py_image_dedup.config.settings import Settings
from py_image_dedup.config.sources import MAIN, OPTIONS, SECTIONS, KeyPath, variable
from py_image_dedup.config.value_types import Option

_HEAD = f"""\
# Every option with its default. Options that are commented out have a default that depends on the machine, or none.
#
# Looked for as {MAIN}.yaml in ./, ~/.config/ and ~/, or given with --config FILE.
# An environment variable is stronger: {variable(("analysis", "threads"))}=2, lists separated by commas.
# The command line is stronger still.
"""

_HIDDEN = "(set, not shown)"


def _yaml(value: Any) -> str:
    """Dump one key with its value, without a line break at the end."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(value, out)
    return out.getvalue().removesuffix("...\n").rstrip("\n")


def _tree(lines: Callable[[KeyPath, Option], Iterator[str]]) -> Iterator[str]:
    """Write the sections around what ``lines`` says about each option."""
    yield f"{MAIN}:"
    above: KeyPath = ()
    for path, option in OPTIONS.items():
        if path[:-1] != above and path[:-1] in SECTIONS and path[:-1]:
            yield f"  {path[0]}:"
        above = path[:-1]
        for line in lines(path, option):
            yield textwrap.indent(line, "  " * len(path), lambda part: bool(part.strip()))


def _constant(option: Option) -> Any:
    """The default of an option if it is the same on every machine, else ``None``."""
    if option.default_words:
        return None
    return option.default() if callable(option.default) else option.default


def _described(path: KeyPath, option: Option) -> Iterator[str]:
    words = option.description
    if option.replaced_by:
        words += f" Still works; its successor is {option.replaced_by}."
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
    """Return the reference configuration: every option once, with its meaning and its default."""
    return _HEAD + "\n".join(_tree(_described)) + "\n"


def shown(settings: Settings) -> str:
    """Return the values in force as YAML that can be loaded again; secrets are not in it."""

    def lines(path: KeyPath, option: Option) -> Iterator[str]:
        value = attrgetter(".".join(path))(settings)
        if option.replaced_by:
            return
        if value is None:
            yield f"# {path[-1]}:"
        elif option.secret:
            yield f"# {path[-1]}: {_HIDDEN}"
        else:
            yield _yaml({path[-1]: option.value_type.write(value)})

    return "\n".join(_tree(lines)) + "\n"
