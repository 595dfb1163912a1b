"""`lockstitch up`, `worker` and `tokens`: the server on the command line. `control` is imported late: it is heavy."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lockstitch.cli.output import Command, json_option
from lockstitch.display.text import json_text

if TYPE_CHECKING:
    from lockstitch.control.server import Settings

DEFAULT_HOME = Path("~/.lockstitch/server")


def home_option(command: Command) -> Command:
    """Give a command its `--home`."""
    return click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        default=DEFAULT_HOME,
        show_default=True,
        help="The folder with the server's keys and data.",
    )(command)


def database_option(command: Command) -> Command:
    """Give a command its `--database-url`."""
    return click.option(
        "--database-url",
        envvar="LOCKSTITCH_DATABASE_URL",
        help="postgresql://... for many machines; without it a file in the home folder.",
    )(command)


def working_options(command: Command) -> Command:
    """Give a command what it needs to carry out runs."""
    runs = click.option(
        "--runs",
        "runs_at_once",
        type=click.IntRange(1, 100),
        default=4,
        show_default=True,
        help="Most runs at a time in each process; the process started last decides for all.",
    )
    silence = click.option(
        "--silence",
        type=click.FloatRange(4),  # turns of the clock come a second apart
        default=60.0,
        show_default=True,
        help="Seconds until a process that says nothing is taken for dead and its runs go to others.",
    )
    return runs(silence(command))


@click.command()
@home_option
@database_option
@working_options
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8080, show_default=True, help="0 takes a free one.")
@click.option("--rate-limit", "rate_limited", is_flag=True, help="Enforce the documented limits of requests.")
@click.option(
    "--origin", "origins", multiple=True, help="Another site whose pages may call the API: https://app.example.com"
)
def up(host: str, port: int, origins: tuple[str, ...], home: Path, **settings: Any) -> int:
    """Serve the API, fire schedules and carry out runs, all in this process.

    \b
    Example:
      lockstitch up
      lockstitch up --home /var/lib/lockstitch --port 8443
    """
    from lockstitch.control import process

    process.start_server()
    from lockstitch.control.server import Settings

    return _serve(Settings(home.expanduser(), **settings), host, port, origins)


def _serve(settings: Settings, host: str, port: int, origins: Sequence[str]) -> int:
    import uvicorn

    from lockstitch.api.app import make_app
    from lockstitch.control.logs import logged
    from lockstitch.control.server import open_server, working

    server = open_server(settings)
    listening = listening_on(host, port)
    with logged(), working(server):
        address = f"http://{host}:{listening.getsockname()[1]}"
        click.echo(f"Lockstitch listens on {address}")
        click.echo(f"make a token: lockstitch tokens create --home {settings.home}")
        config = uvicorn.Config(
            make_app(server, origins),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_LAST_ANSWERS,
        )
        with _signals_end_the_block():
            uvicorn.Server(config).run(sockets=[listening])
        click.echo(_STOPPING, err=True)
    server.store.close()
    return 0


#: Seconds that requests under way have to end, when the server is asked to stop.
_LAST_ANSWERS = 10
_STOPPING = "stopping: what runs have read is being committed (once more to stop at once)"


@contextmanager
def _signals_end_the_block() -> Generator[None]:
    """Let uvicorn end by a signal without passing it on afterwards, which would end the process half way."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listening_on(host: str, port: int) -> socket.socket:
    from lockstitch.core.errors import SettingsError

    try:
        listening = socket.create_server((host, port), backlog=2048)
        # Connections inherit it; asyncio sets it only where a socket names its protocol. Without it each answer on a
        # connection that is kept waits 40 ms for the client's acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        text = f"cannot listen on {host}:{port}: {error.strerror}"
        raise SettingsError(text, hint="choose another --port, or 0 for a free one") from error


@click.command()
@home_option
@click.option("--database-url", envvar="LOCKSTITCH_DATABASE_URL", required=True, help="postgresql://... of the server.")
@working_options
def worker(home: Path, **settings: Any) -> int:
    """Carry out runs for a server on another machine, which uses the same PostgreSQL.

    \b
    Example:
      export LOCKSTITCH_KEYS=... LOCKSTITCH_DATABASE_URL=postgresql://user:password@host/lockstitch
      lockstitch worker --runs 8
    """
    from lockstitch.control import process

    process.start_server()
    from lockstitch.control.logs import logged
    from lockstitch.control.server import Settings, open_server, working

    server = open_server(Settings(home.expanduser(), **settings))
    leave = threading.Event()
    with logged(), working(server):
        before = {number: signal.signal(number, lambda *_: leave.set()) for number in (signal.SIGINT, signal.SIGTERM)}
        click.echo(f"worker {os.getpid()} is at work")
        leave.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
        click.echo(_STOPPING, err=True)
    server.store.close()
    return 0


@click.group()
def tokens() -> None:
    """Make tokens for the API.

    \b
    Example:
      lockstitch tokens create --home /var/lib/lockstitch
    """


@tokens.command("create")
@home_option
@database_option
@click.option("--account", "account_id", type=int, help="The account; the first one unless given.")
@click.option("--description", default="made on the command line", show_default=True)
@json_option
def create_token(home: Path, database_url: str | None, account_id: int | None, description: str, as_json: bool) -> int:
    """Make an API token and print it, this once. The first one makes the first account.

    \b
    Example:
      lockstitch tokens create --home /var/lib/lockstitch
    """
    made = _make_token(home.expanduser(), database_url, account_id, description)
    if as_json:
        click.echo(json_text(made))
        return 0
    click.echo(f"token {made['token_id']} of account {made['account_id']}; it is shown only now", err=True)
    click.echo(made["access_token"])
    return 0


def _make_token(home: Path, database_url: str | None, account_id: int | None, description: str) -> dict[str, Any]:
    from lockstitch.control import accounts
    from lockstitch.control import tokens as made_tokens
    from lockstitch.control.refusals import Refusal
    from lockstitch.control.server import Settings, open_server
    from lockstitch.core.errors import SettingsError

    server = open_server(Settings(home, database_url))
    now = datetime.now(UTC)
    with ExitStack() as stack:
        stack.callback(server.store.close)
        db = stack.enter_context(server.store.begin())
        account = account_id if account_id is not None else made_tokens.first_account(db)
        if account is None:
            account = accounts.insert(db, accounts.FIRST, now)
        elif not accounts.exists(db, account):
            raise SettingsError(f"there is no account {account}", hint="leave --account out for the first one")
        try:
            made = made_tokens.make_api_token(db, account, description, now)
        except Refusal as refusal:
            raise SettingsError(refusal.body["data"]["message"], hint="delete or reuse one of them") from None
        return {"account_id": account, "token_id": made.id, "access_token": made.text}
