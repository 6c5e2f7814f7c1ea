"""The program: exit codes, commands, global options, and the messages of errors."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import click

import py_image_dedup
from py_image_dedup.cli.context import Invocation, make_safe, readers_may_leave


class ExitCode(IntEnum):
    """The exit codes, listed in every help text. A stop by a signal has 128 and the number of the signal."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INCOMPLETE = 3
    DUPLICATES = 4
    INTERRUPTED = 130


EXIT_CODE_HELP = """\b
Exit codes:
  0    done
  1    the command failed
  2    wrong usage or configuration
  3    done, but some removals were not carried out
  4    duplicates were found (deduplicate --exit-code)
  130  stopped by Ctrl-C

\b
Documentation: https://github.com/py-image-dedup/py-image-dedup/tree/main/docs"""


COMPLETION_VARIABLE = "_PY_IMAGE_DEDUP_COMPLETE"
"""The environment variable by which a shell asks the program for completions."""


COMMANDS: Mapping[str, str] = {
    "analyse": "analyse",
    "deduplicate": "deduplicate",
    "review": "review",
    "daemon": "daemon",
    "known": "queries",
    "unique": "queries",
    "apply": "apply",
    "decisions": "decisions",
    "undo": "runs",
    "runs": "runs",
    "verify": "runs",
    "quarantine": "quarantine",
    "status": "index",
    "clear": "index",
    "index": "index",
    "config": "config",
    "completion": "config",
}
"""The commands, in the order of the help text, with their modules in this package."""


def _apply_global_option(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    invocation = ctx.find_object(Invocation)
    given = value is not None if param.name == "color" else bool(value)
    if given and invocation is not None:
        invocation.change(**{str(param.name): value})


_STATE_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_CONFIG_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_HIDDEN: Mapping[str, Any] = {"hidden": True, "expose_value": False, "callback": _apply_global_option}
_GLOBAL_OPTIONS: list[click.Parameter] = [
    click.Option(["--config", "config_file"], type=_CONFIG_FILE, **_HIDDEN),
    click.Option(["--state-directory"], type=_STATE_DIRECTORY, **_HIDDEN),
    click.Option(["-v", "--verbose"], is_flag=True, **_HIDDEN),
    click.Option(["-q", "--quiet"], is_flag=True, **_HIDDEN),
    click.Option(["--color/--no-color"], default=None, **_HIDDEN),
]
"""The global options, accepted after the command too, because people write them there."""


class Commands(click.Group):
    """A group that imports a command when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command, or ``None`` if it does not exist."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"py_image_dedup.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        for each in (command, *getattr(command, "commands", {}).values()):
            if EXIT_CODE_HELP not in (each.epilog or ""):
                each.epilog = f"{each.epilog}\n\n{EXIT_CODE_HELP}" if each.epilog else EXIT_CODE_HELP
            is_command = not isinstance(each, click.Group) or each.invoke_without_command
            if is_command and _GLOBAL_OPTIONS[0] not in each.params:
                each.params += _GLOBAL_OPTIONS
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click itself treats a closed pipe as a failure."""
        with readers_may_leave():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command, or fail with the most similar one; ``help NAME`` is ``NAME --help``."""
        if args[0] == "help":
            if not args[1:]:
                click.echo(ctx.get_help())
                ctx.exit()
            args = [*args[1:], "--help"]
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            if Path(name).is_dir():
                hint = f" To search this folder: py-image-dedup deduplicate {click.format_filename(name)}"
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
    help="Configuration file.  [default: py_image_dedup.yaml in ./, ~/.config/ or ~/]",
)
@click.option(
    "--state-directory",
    type=_STATE_DIRECTORY,
    metavar="DIR",
    help="Folder of the index and of the records of runs.",
)
@click.option("-v", "--verbose", is_flag=True, help="Print each file as it is decided, and the traces of errors.")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
@click.option("--color/--no-color", default=None, help="Use colours or not.  [default: only at a terminal]")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
@click.pass_context
def application(ctx: click.Context, /, **options: Any) -> None:
    """Find the duplicates of a photo library, see which file of each group is the best, and remove the rest safely.

    \b
    Examples:
      py-image-dedup deduplicate ~/Pictures                  shows the duplicates; changes nothing
      py-image-dedup deduplicate ~/Pictures --no-dry-run     asks, then removes the redundant files
      py-image-dedup undo                                    restores them
    """  # noqa: D301 - click reads \\b as "do not wrap this"
    ctx.obj = Invocation()
    ctx.obj.change(**options)


def run(arguments: Sequence[str]) -> int:
    """Run the program.

    Args:
        arguments: Arguments without the name of the program.

    Returns:
        The exit code.
    """
    if py_image_dedup.NO_SUPPORT:
        click.echo(f"Error: {py_image_dedup.NO_SUPPORT}", err=True)
        return ExitCode.FAILED
    make_safe()
    context: dict[str, Any] = {"args": list(arguments), "prog_name": "py-image-dedup", "standalone_mode": False}
    context["complete_var"] = COMPLETION_VARIABLE
    verbose = "-v" in arguments or "--verbose" in arguments  # needed before click has parsed them
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
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last place that can explain it to the user
        return _report_error(error, verbose=verbose)
    return code if isinstance(code, int) else ExitCode.DONE


def _report_error(error: Exception, *, verbose: bool) -> int:
    """Print an error, with its trace if that is wanted, and return the exit code."""
    if verbose:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    lines, code = error_lines(error)
    for line in lines:
        click.echo(line, err=True)
    return code


def error_lines(error: Exception) -> tuple[list[str], ExitCode]:
    """Return the lines to print for an error, and the exit code."""
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
        words = "out of memory"
    elif _is_ours(error):
        words = readable(str(error))
    else:
        words = f"{type(error).__name__}: {readable(str(error))} (use -v for details)"
    return [f"Error: {words}"], ExitCode.FAILED


def _is_ours(error: Exception) -> bool:
    """Return whether an error has a message for people."""
    return type(error).__module__.startswith("py_image_dedup.") and bool(str(error))
