"""The program: global options, the commands, and what an error looks like."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import click

from py_image_dedup.cli.context import Invocation, make_safe, readers_may_leave


class ExitCode(IntEnum):
    """The codes, listed in every help text."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INCOMPLETE = 3


EXIT_CODE_HELP = """\b
Exit codes:
  0  done
  1  the run failed, or was stopped before its end
  2  wrong usage or configuration
  3  done, but some removals were not carried out"""


COMMANDS: Mapping[str, str] = {
    "analyse": "analyse",
    "deduplicate": "deduplicate",
    "daemon": "daemon",
    "known": "known",
    "apply": "apply",
    "undo": "runs",
    "runs": "runs",
    "status": "index",
    "clear": "index",
    "index": "index",
    "config": "config",
}
"""Commands by name, in the order of the help text, each with its module in this package."""


def _apply_global_option(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    invocation = ctx.find_object(Invocation)
    if value and invocation is not None:
        invocation.change(**{str(param.name): value})


_STATE_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_CONFIG_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_HIDDEN: Mapping[str, Any] = {"hidden": True, "expose_value": False, "callback": _apply_global_option}
_GLOBAL_OPTIONS: list[click.Parameter] = [
    click.Option(["--config", "config_file"], type=_CONFIG_FILE, **_HIDDEN),
    click.Option(["--state-directory"], type=_STATE_DIRECTORY, **_HIDDEN),
    click.Option(["-v", "--verbose"], is_flag=True, **_HIDDEN),
    click.Option(["-q", "--quiet"], is_flag=True, **_HIDDEN),
]
"""The global options, understood after the command too, because that is where people write them."""


class Commands(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return all names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command, or ``None`` if there is no such one."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"py_image_dedup.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        for each in (command, *getattr(command, "commands", {}).values()):
            each.epilog = EXIT_CODE_HELP
            if not isinstance(each, click.Group) and _GLOBAL_OPTIONS[0] not in each.params:
                each.params += _GLOBAL_OPTIONS
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command; click itself would take a reader that leaves for a failure."""
        with readers_may_leave():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when there is no such one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"There is no command {click.format_filename(name)!r}.{hint}")
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001, FBT001
    if value:
        from importlib.metadata import version

        click.echo(f"py-image-dedup {version('py-image-dedup')}")
        ctx.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODE_HELP,
)
@click.option(
    "--config",
    "config_file",
    type=_CONFIG_FILE,
    metavar="FILE",
    help="The configuration; otherwise py_image_dedup.yaml in ./, ~/.config/ or ~/ is looked for.",
)
@click.option(
    "--state-directory",
    type=_STATE_DIRECTORY,
    metavar="DIR",
    help="Where the index and the records of the runs are kept.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say more; show where an error comes from.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
@click.pass_context
def application(
    ctx: click.Context, config_file: Path | None, state_directory: Path | None, *, verbose: bool, quiet: bool
) -> None:
    """Find the duplicates of a photo library, see which file of each group is the best, and remove the rest safely.

    \b
    py-image-dedup deduplicate ~/Pictures                  shows what is the same; changes nothing
    py-image-dedup deduplicate ~/Pictures --no-dry-run     asks, then removes the redundant files
    py-image-dedup undo                                    brings them back
    """  # noqa: D301 - click reads \\b as "do not wrap this"
    ctx.obj = Invocation(config_file, state_directory, verbose=verbose, quiet=quiet)


def run(arguments: Sequence[str]) -> int:
    """Run the program.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit code.
    """
    make_safe()
    context: dict[str, Any] = {"args": list(arguments), "prog_name": "py-image-dedup", "standalone_mode": False}
    verbose = "-v" in arguments or "--verbose" in arguments  # known before click has read them
    code: object = ExitCode.DONE
    try:
        code = application.main(**context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001 - the last place that can tell the user in words
        return _report_error(error, verbose=verbose)
    return code if isinstance(code, int) else ExitCode.DONE


def _report_error(error: Exception, *, verbose: bool) -> int:
    """Say what went wrong in words, with the trace if it was asked for."""
    if verbose:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    lines, code = error_lines(error)
    for line in lines:
        click.echo(line, err=True)
    return code


def error_lines(error: Exception) -> tuple[list[str], ExitCode]:
    """Return what to print for an error, and the exit code."""
    from py_image_dedup.config import ConfigError
    from py_image_dedup.report.text import readable

    if isinstance(error, ConfigError):
        count = len(error.problems)
        head = "The configuration has an error:" if count == 1 else f"The configuration has {count} errors:"
        return [head, *(f"  {readable(str(problem))}" for problem in error.problems)], ExitCode.USAGE
    if isinstance(error, OSError):
        name = f"{readable(os.fsdecode(error.filename))}: " if isinstance(error.filename, str | bytes) else ""
        words = f"{name}{error.strerror or error}"
    elif isinstance(error, MemoryError):
        words = "the memory of this machine is used up"
    elif _is_ours(error):
        words = readable(str(error))
    else:
        words = f"{type(error).__name__}: {readable(str(error))} (run again with -v before the command for details)"
    return [f"Error: {words}"], ExitCode.FAILED


def _is_ours(error: Exception) -> bool:
    """Whether an error was raised with words for a person."""
    return type(error).__module__.startswith("py_image_dedup.") and bool(str(error))
