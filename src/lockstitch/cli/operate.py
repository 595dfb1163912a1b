"""`lockstitch keys`, `backup`, `restore`, `partners` and `accounts`: what an operator does beside the API."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lockstitch.cli.output import json_option
from lockstitch.cli.server import database_option, home_option
from lockstitch.display.text import count, json_text, size

if TYPE_CHECKING:
    import sqlalchemy as sa

    from lockstitch.control.backup import Manifest
    from lockstitch.control.server import Server


@contextmanager
def _opened(home: Path, database_url: str | None) -> Generator[Server]:
    from lockstitch.control.server import Settings, open_server

    server = open_server(Settings(home.expanduser(), database_url))
    with closing(server.store):
        yield server


@contextmanager
def _changed(home: Path, database_url: str | None) -> Generator[sa.Connection]:
    """Lend a transaction of the store; what the API would refuse becomes a user error."""
    from lockstitch.control.refusals import Refusal
    from lockstitch.core.errors import SettingsError

    with _opened(home, database_url) as server, server.store.begin() as db:
        try:
            yield db
        except Refusal as refusal:
            raise SettingsError(refusal.body["message"], hint="--help explains the options") from None


# --- keys -------------------------------------------------------------------------------------------------------------


@click.group()
def keys() -> None:
    """Change the keys that credentials are stored with.

    \b
    Example:
      lockstitch keys add --home /var/lib/lockstitch
    """


@keys.command("add")
@home_option
def add(home: Path) -> int:
    """Put a new key before the others: what is stored from now on is encrypted with it.

    A server at work takes it up by itself. Where the keys come from LOCKSTITCH_KEYS, the new one is only printed.

    \b
    Example:
      lockstitch keys add --home /var/lib/lockstitch
      lockstitch keys renew --home /var/lib/lockstitch --drop
    """
    from lockstitch.control.keyring import ENVIRONMENT, Keyring, add_key, make_key

    if os.environ.get(ENVIRONMENT):
        click.echo(f"put this key before those of {ENVIRONMENT}, with a comma between, on every machine:", err=True)
        click.echo(make_key())
        return 0
    home = home.expanduser()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    Keyring.open(home)
    add_key(home)
    click.echo("a new key comes first now; copy the file to other machines, then: lockstitch keys renew", err=True)
    return 0


@keys.command("renew")
@home_option
@database_option
@click.option("--drop", is_flag=True, help="Remove all older keys from the home folder afterwards.")
def renew(home: Path, database_url: str | None, drop: bool) -> int:
    """Encrypt all that is stored again with the first key. Servers may be at work.

    \b
    Example:
      lockstitch keys renew --home /var/lib/lockstitch --drop
    """
    from lockstitch.control.keyring import ENVIRONMENT, keep_keys, read_keys
    from lockstitch.control.renewal import renew_secrets
    from lockstitch.core.errors import SettingsError

    if drop and os.environ.get(ENVIRONMENT):
        raise SettingsError(
            f"the keys are in {ENVIRONMENT}", hint="leave --drop out, and remove the older keys there yourself"
        )
    with _opened(home, database_url) as server:
        renewed = renew_secrets(server.store, server.keyring)
    if drop:
        keep_keys(home.expanduser(), read_keys(home.expanduser())[:1])
    rest = "older keys are removed" if drop else "older keys are needed only for older backups"
    click.echo(f"{count(renewed, 'secret')} renewed; {rest}", err=True)
    return 0


# --- backups ----------------------------------------------------------------------------------------------------------


@click.command()
@home_option
@database_option
@click.option("--with-keys", is_flag=True, help="Put the keys into it as well: whoever has the file has everything.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def backup(home: Path, database_url: str | None, with_keys: bool, file: Path, as_json: bool) -> int:
    """Write all that the server has stored into FILE. The server may be at work.

    \b
    Example:
      lockstitch backup --home /var/lib/lockstitch lockstitch-2026-01-31.zip
    """
    from lockstitch.control.backup import Place, back_up

    manifest = back_up(Place(home.expanduser(), database_url), file, with_keys=with_keys)
    _tell(manifest, as_json=as_json)
    if manifest.keys is None:
        click.echo("the keys are not in it: keep a copy of them elsewhere", err=True)
    return 0


@click.command()
@home_option
@database_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def restore(home: Path, database_url: str | None, file: Path, as_json: bool) -> int:
    """Make a server out of FILE, in an empty folder or an empty PostgreSQL, whichever it came from.

    \b
    Example:
      lockstitch restore --home /var/lib/lockstitch lockstitch-2026-01-31.zip
    """
    from lockstitch.control.backup import Place
    from lockstitch.control.keyring import ENVIRONMENT, FILE, Keyring, read_keys
    from lockstitch.control.restoring import can_read, restore
    from lockstitch.core.errors import SettingsError

    place = Place(home.expanduser(), database_url)
    manifest = restore(file, place)
    _tell(manifest, as_json=as_json)
    try:
        readable = can_read(place, Keyring(read_keys(place.home)))
    except SettingsError:
        readable = False
    if not readable:
        text = f"put the keys of the server that was backed up into {place.home / FILE} (0600) or {ENVIRONMENT}"
        click.echo(f"the stored credentials cannot be read yet: {text}", err=True)
    return 0


def _tell(manifest: Manifest, *, as_json: bool) -> None:
    rows = {name: table.rows for name, table in manifest.tables.items() if table.rows}
    if as_json:
        made = {"version": manifest.version, "schema": manifest.schema, "made_at": manifest.made_at.isoformat()}
        click.echo(json_text({**made, "rows": rows, "keys": manifest.keys is not None}))
    else:
        click.echo(
            f"{count(sum(rows.values()), 'row')} of {count(len(rows), 'table')}, {manifest.made_at:%Y-%m-%d %H:%M} UTC"
        )
    if manifest.inbox:
        waiting = size(sum(one.bytes for one in manifest.inbox))
        click.echo(f"not in it: {waiting} of pushed records that were not loaded yet", err=True)


# --- accounts and partners --------------------------------------------------------------------------------------------


@click.group("accounts")
def accounts_group() -> None:
    """Make accounts.

    \b
    Example:
      lockstitch accounts create --email jane@example.com --company Example
    """


@accounts_group.command("create")
@home_option
@database_option
@click.option("--email", required=True)
@click.option("--company", required=True)
@click.option("--first-name", default="", help="Of the person to write to.")
@click.option("--last-name", default="")
@json_option
def create_account(home: Path, database_url: str | None, as_json: bool, **given: str) -> int:
    """Make an account with its first token, which is printed this once.

    \b
    Example:
      lockstitch accounts create --email jane@example.com --company Example
    """
    from lockstitch.control import accounts, tokens
    from lockstitch.core.errors import SettingsError

    now = datetime.now(UTC)
    if not accounts.is_email(given["email"]):
        raise SettingsError(f"--email is {given['email']!r}", hint="give an address such as jane@example.com")
    with _changed(home, database_url) as db:
        account_id = accounts.register(db, {**accounts.FIRST, **given}, now)
        made = tokens.make_api_token(db, account_id, "made on the command line", now)
    _tell_secret({"account_id": account_id, "access_token": made.text}, "access_token", as_json=as_json)
    return 0


@click.group()
def partners() -> None:
    """Register partners, who may create accounts by the API.

    \b
    Example:
      lockstitch partners create "Example Inc." --redirect-uri https://example.com/back
    """


@partners.command("create")
@home_option
@database_option
@click.argument("name")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where a code may be sent; may be repeated.")
@json_option
def create_partner(
    home: Path, database_url: str | None, name: str, redirect_uris: tuple[str, ...], as_json: bool
) -> int:
    """Register a partner and print its id and its secret, this once.

    \b
    Example:
      lockstitch partners create "Example Inc." --redirect-uri https://example.com/back
    """
    from lockstitch.control import accounts

    with _changed(home, database_url) as db:
        partner_id, secret = accounts.make_partner(db, name, list(redirect_uris), datetime.now(UTC))
    _tell_secret({"partner_id": partner_id, "partner_secret": secret}, "partner_secret", as_json=as_json)
    return 0


def _tell_secret(made: dict[str, Any], secret: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json_text(made))
        return
    told = ", ".join(f"{name} {value}" for name, value in made.items() if name != secret)
    click.echo(f"{told}; the {secret.replace('_', ' ')} is shown only now", err=True)
    click.echo(made[secret])


COMMANDS = (accounts_group, partners, keys, backup, restore)
