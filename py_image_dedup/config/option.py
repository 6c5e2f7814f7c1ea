"""What is said about an option, once: in the field of the settings that holds its value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from py_image_dedup.config.kinds import Kind


@dataclass(frozen=True, slots=True)
class Option:
    """An option, as its field's metadata holds it.

    Attributes:
        kind: How its value is read and written.
        description: For a person, in one or two sentences.
        default: The value without any configuration, or a function that makes it.
        example: Shown in the reference where there is no default that is the same on every machine.
        default_words: Says what the default is where it is no constant.
        secret: Never shown.
        old_names: Key paths that older configurations use for it; accepted with a warning.
        replaced_by: For an option that still works and has a better successor: what to write instead.
    """

    kind: Kind
    description: str
    default: Any = None
    example: Any = None
    default_words: str = ""
    secret: bool = False
    old_names: tuple[str, ...] = ()
    replaced_by: str = ""


def option(kind: Kind, default: Any, description: str, **more: Any) -> Any:
    """Declare an option as a field of the settings.

    Args:
        kind: How its value is read and written.
        default: The value, or a function that makes it.
        description: For a person.
        more: The other attributes of ``Option``.
    """
    secret = more.get("secret", False)
    metadata = {"option": Option(kind, description, default, **more)}
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)
