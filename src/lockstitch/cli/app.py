"""The command `lockstitch`: gathers the commands, and turns whatever ends one into a message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from lockstitch import __version__
from lockstitch.cli import demo, inspect, mcp, operate, run, server, state, verify
from lockstitch.cli.errors import report, warn
from lockstitch.core.errors import SettingsError
from lockstitch.display.logs import warnings_told


class InOrder(click.Group):
    """Lists its commands as a newcomer meets them, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(self.commands)


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="lockstitch %(version)s")
def cli() -> None:
    """Carry data from where it is made to where it is analysed, each row exactly once.

    \b
    lockstitch demo                   see it work, with nothing to set up
    lockstitch check pipeline.toml    try both ends
    lockstitch run pipeline.toml      carry what is new
    lockstitch up                     serve the API, with schedules and runs

    Exit codes: 0 done, 2 something must be mended (a setting, access, the source's data), 3 verify found rows that
    differ, 75 try again later, 1 a bug of ours, 130 or 143 stopped by a signal.
    """


for command in (
    demo.demo,
    inspect.check,
    inspect.discover,
    inspect.plan,
    run.run,
    inspect.show,
    verify.verify,
    state.reset,
    state.adopt,
    mcp.mcp,
    server.up,
    server.worker,
    server.tokens,
    *operate.COMMANDS,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. Only a bug of ours shows a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        with warnings_told(lambda text: warn(text, as_json=as_json)):
            code: int | None = cli.main(given, prog_name="lockstitch", standalone_mode=False)
        sys.stdout.flush()
        return code or 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "lockstitch"
        return report(SettingsError(error.format_message(), hint=f"{path} --help"), as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        return 130
    except BrokenPipeError:
        # Who read our output has gone (`| head`): Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return report(error, as_json=as_json)
