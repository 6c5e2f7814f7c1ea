"""Prioritization rules as a configuration writes them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from py_image_dedup.config.kinds import Kind
from py_image_dedup.ranking.rules import DEFAULT_RULES, RuleSpec, parse_rule


def _plain(item: Any) -> Any:
    """Bring the ways to write a rule to two: its name, or its name with its arguments.

    ``{"name": "more-exif-data"}`` is how older configurations write it, as text in an environment variable too.
    """
    if isinstance(item, str) and item.lstrip().startswith("{"):
        try:
            item = ast.literal_eval(item.strip())
        except (ValueError, SyntaxError):
            raise ValueError(f"{item!r} is not a rule") from None
    if not isinstance(item, Mapping):
        return str(item)
    # YAML's own classes know their lines and print badly; the settings hold plain values.
    plain = {str(key): value if isinstance(value, str) else list(value or ()) for key, value in item.items()}
    return plain["name"] if plain.keys() == {"name"} else plain


def _read(value: Any) -> tuple[RuleSpec, ...]:
    if isinstance(value, str):
        # The arguments of a rule have commas between them; who needs both separates the rules by semicolons.
        parts = value.split(";" if ";" in value else ",")
        value = [part.strip() for part in parts if part.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError("a list of rules is needed")  # noqa: TRY004 - one kind of error for every wrong value
    found, causes = [], []
    for item in value:
        try:
            rule = _plain(item)
            parse_rule(rule)
        except (ValueError, TypeError) as error:
            causes.append(str(error))
        else:
            found.append(rule)
    if causes:
        raise ValueError("; ".join(causes))
    return tuple(found)


DEFAULT: tuple[RuleSpec, ...] = DEFAULT_RULES
"""The rules that decide when the user says nothing."""

RULES = Kind(_read, list)
