"""The command ``daemon``: watch the library and deduplicate new photos."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, roots_on_the_command_line, send_log_to_stderr
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import DRY_RUN, ROOTS
from py_image_dedup.cli.output import save_result

if TYPE_CHECKING:
    from py_image_dedup.config import Settings

_LOG = logging.getLogger(__name__)


_EXAMPLES = """\b
Examples:
  py-image-dedup daemon ~/Pictures                  logs what it would remove
  py-image-dedup daemon ~/Pictures --no-dry-run     removes duplicates as they arrive"""


@click.command(name="daemon", epilog=_EXAMPLES)
@ROOTS
@DRY_RUN
@pass_invocation
def daemon_command(invocation: Invocation, /, roots: tuple[Path, ...], *, dry_run: bool | None) -> ExitCode:
    """Watch the folders and deduplicate new photos.

    A file is processed when it has not changed for daemon.processing_timeout. A full run at the start and every
    daemon.full_run_interval catches missed changes. /metrics, /healthz and /readyz are served on stats.port.

    SIGTERM and Ctrl-C stop the daemon after the current file; SIGHUP reloads the configuration.
    """
    from importlib.metadata import version

    from py_image_dedup.daemon.daemon import Daemon

    level = logging.ERROR if invocation.quiet else logging.DEBUG if invocation.verbose else logging.INFO
    send_log_to_stderr(level, traces=invocation.verbose, times=True)

    def load() -> Settings:
        loaded = invocation.load({**roots_on_the_command_line(roots, None), "dry_run": dry_run})
        for warning in loaded.warnings:
            _LOG.warning("%s", warning)
        return loaded.settings

    Daemon(load, version("py-image-dedup"), save_result).run()
    return ExitCode.DONE
