"""Checks that the daemon in this container is alive; exits with 1 if not, and with 0 if it serves no pages."""

import sys
import urllib.request
from pathlib import Path

from py_image_dedup.config import ConfigError, load


def config_file() -> Path | None:
    """Return the file that the container's first process was started with, if it was given one."""
    arguments = Path("/proc/1/cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
    for number, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == "--config":
            found = Path(value or "".join(arguments[number + 1 : number + 2]))
            return found if found.is_file() else None
    return None


try:
    stats = load(file=config_file()).settings.stats
except (ConfigError, OSError) as error:
    sys.exit(f"the configuration cannot be read: {error}")
if not stats.enabled:
    sys.exit(0)
address = stats.address
host = "127.0.0.1" if address in {"", "0.0.0.0", "::"} else f"[{address}]" if ":" in address else address  # noqa: S104
try:
    with urllib.request.urlopen(f"http://{host}:{stats.port}/healthz", timeout=4) as answer:
        sys.exit(answer.status != 200)
except OSError as error:
    sys.exit(f"no answer from {host}:{stats.port}: {error}")
