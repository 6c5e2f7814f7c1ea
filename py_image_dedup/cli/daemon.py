"""``daemon``: watch the library and deduplicate what arrives."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, roots_on_the_command_line
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import DRY_RUN, ROOTS
from py_image_dedup.cli.output import save_result

if TYPE_CHECKING:
    from py_image_dedup.config import Settings


@click.command(name="daemon")
@ROOTS
@DRY_RUN
@pass_invocation
def daemon_command(invocation: Invocation, /, roots: tuple[Path, ...], *, dry_run: bool | None) -> ExitCode:
    """Watch the folders and deduplicate photos as they arrive.

    A file is looked at when it has been quiet for daemon.processing_timeout. A full run at the start and every
    daemon.full_run_interval picks up what events missed. Metrics and health are served on stats.port: /metrics,
    /healthz, /readyz.

    SIGTERM and Ctrl-C end it after the file in hand; SIGHUP makes it read the configuration again.
    """
    from importlib.metadata import version

    from py_image_dedup.daemon.daemon import Daemon

    if not invocation.quiet:
        logging.getLogger("py_image_dedup").setLevel(logging.DEBUG if invocation.verbose else logging.INFO)

    def load() -> Settings:
        return invocation.settings({**roots_on_the_command_line(roots, None), "dry_run": dry_run})

    Daemon(load, version("py-image-dedup"), save_result).run()
    return ExitCode.DONE
