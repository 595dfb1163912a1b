"""Every row of the two tables of errors, said by a real server wherever one can be made to say it."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from adbc_driver_manager import AdbcStatusCode, OperationalError

from destinations.postgres.opening import properties_of, session_on
from lockstitch.core.errors import AccessError, LockstitchError, TransientError
from lockstitch.destinations.postgres import errors
from lockstitch.destinations.postgres.sql import Relation
from lockstitch.testing.postgres_server import PostgresDatabase
from lockstitch.testing.tcp_proxy import Fault, tcp_proxy

#: The code that the server is made to raise, and what it means, for each row of the table.
MEANINGS: dict[str, tuple[str, type[LockstitchError]]] = {
    "08": ("08006", TransientError),
    "22": ("22003", LockstitchError),
    "22P05": ("22P05", AccessError),
    "23": ("23503", AccessError),
    "25006": ("25006", AccessError),
    "25P03": ("25P03", TransientError),
    "26": ("26000", AccessError),
    "28": ("28000", AccessError),
    "2BP01": ("2BP01", AccessError),
    "3D000": ("3D000", AccessError),
    "3F000": ("3F000", TransientError),
    "40": ("40P01", TransientError),
    "42501": ("42501", AccessError),
    "42701": ("42701", TransientError),
    "42703": ("42703", TransientError),
    "42704": ("42704", TransientError),
    "42804": ("42804", TransientError),
    "42P01": ("42P01", TransientError),
    "42P07": ("42P07", AccessError),
    "42P10": ("42P10", TransientError),
    "42P16": ("42P16", AccessError),
    "53": ("53200", TransientError),
    "53100": ("53100", TransientError),
    "53300": ("53300", TransientError),
    "54": ("54000", AccessError),
    "54011": ("54011", AccessError),
    "55000": ("55000", AccessError),
    "55006": ("55006", TransientError),
    "55P03": ("55P03", TransientError),
    "57014": ("57014", TransientError),
    "57P": ("57P03", TransientError),
    "58": ("58030", TransientError),
    "XX": ("XX000", TransientError),
}

#: What libpq says of a connection that could not be made, and what it means, for each row of the table.
REFUSALS: list[tuple[str, type[LockstitchError], str]] = [
    (
        'FATAL: password authentication failed for user "me"',
        AccessError,
        "FATAL: Password authentication failed for user me",
    ),
    ("fe_sendauth: no password supplied", AccessError, "no password supplied"),
    ('FATAL: database "shop" does not exist', AccessError, 'FATAL: database "shop" does not exist'),
    ('FATAL: role "me" does not exist', AccessError, 'role "me" does not exist'),
    ('FATAL: permission denied for database "shop"', AccessError, "permission denied"),
    ("FATAL: connection requires a valid client certificate", AccessError, "client certificate"),
    ('FATAL: no pg_hba.conf entry for host "10.0.0.1", user "me"', AccessError, "no pg_hba.conf entry"),
    ("server does not support SSL, but SSL was required", AccessError, "does not support SSL"),
    ("SSL error: certificate verify failed", AccessError, "certificate verify failed"),
    ('could not translate host name "nowhere" to address: Name or service not known', AccessError, "nowhere"),
    ("FATAL: sorry, too many clients already", TransientError, "too many clients"),
    ("FATAL: the database system is starting up", TransientError, "starting up"),
    (
        "Connection refused Is the server running",
        TransientError,
        "Connection refused. Check that the hostname and port",
    ),
    ("timeout expired", TransientError, "Connection timed out."),
    ("server closed the connection unexpectedly", TransientError, "closed the connection"),
    ("could not translate host name: Temporary failure in name resolution", TransientError, "Temporary failure"),
]


def test_each_row_of_both_tables_is_tested() -> None:
    assert set(MEANINGS) == set(errors.CODES)
    hit = [
        next(at for at, (pattern, _) in enumerate(errors.REFUSALS) if re.search(pattern, text)) for text, *_ in REFUSALS
    ]
    assert hit == list(range(len(errors.REFUSALS)))


@pytest.mark.parametrize("row", list(MEANINGS))
def test_a_code_means(row: str, postgres: PostgresDatabase) -> None:
    code, meaning = MEANINGS[row]
    session = session_on(postgres)
    try:
        with pytest.raises(LockstitchError) as raised:
            session.run(f"DO 'BEGIN RAISE EXCEPTION ''said the server'' USING ERRCODE = ''{code}''; END'")
    finally:
        session.close()
    assert type(raised.value) is meaning
    assert raised.value.hint == errors.CODES[row].hint
    assert (errors.CODES[row].text or "ERROR: said the server") in raised.value.message
    assert f"127.0.0.1:{postgres.port}/{postgres.database}" in raised.value.message
    assert f"SQLSTATE {code}" in raised.value.message


@pytest.mark.parametrize("values", [(), (1,)], ids=["without values", "with values"])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 / (5 - n) FROM generate_series(1, 10) AS n WHERE n > {zero}",
        "WITH added AS (INSERT INTO public.t SELECT n % 5 FROM generate_series(1, 10) AS n WHERE n > {zero}"
        " RETURNING 1) SELECT count(*) FROM added",
    ],
    ids=["in the middle of the rows", "in what a query adds"],
)
def test_an_error_that_comes_while_rows_are_read_has_its_code(
    statement: str, values: tuple[int, ...], postgres: PostgresDatabase
) -> None:
    postgres.run("CREATE TABLE public.t (a integer PRIMARY KEY)")
    session = session_on(postgres)
    with pytest.raises(LockstitchError, match=r"SQLSTATE 2(2012|3505)"):
        session.rows(statement.format(zero="$1::integer - 1" if values else "0"), *values)
    session.close()


def test_a_lock_that_is_not_had_while_rows_are_read_is_a_retry_verdict(postgres: PostgresDatabase) -> None:
    postgres.run("CREATE TABLE public.t (a integer)", "INSERT INTO public.t VALUES (1)")
    holder, session = session_on(postgres), session_on(postgres)
    assert holder.rows("SELECT a FROM public.t FOR UPDATE") == [(1,)]
    with pytest.raises(TransientError, match="lock timeout"):
        session.rows("SELECT a FROM public.t WHERE a = $1 FOR UPDATE", 1)
    holder.close()
    session.close()


@pytest.mark.parametrize(("said", "meaning", "text"), REFUSALS, ids=[said for said, *_ in REFUSALS])
def test_a_refusal_means(said: str, meaning: type[LockstitchError], text: str) -> None:
    error = OperationalError(f"IO: [libpq] Failed to connect: {said}\n", status_code=AdbcStatusCode.IO)
    refused = errors.refusal(error, "db.example.com:5432/shop")
    assert type(refused) is meaning
    assert refused.message.startswith("PostgreSQL db.example.com:5432/shop: ")
    assert text in refused.message
    assert refused.hint


def test_an_unknown_refusal_is_told_as_it_is() -> None:
    error = OperationalError("IO: [libpq] Failed to connect: the moon is full", status_code=AdbcStatusCode.IO)
    refused = errors.refusal(error, "here")
    assert type(refused) is AccessError
    assert refused.message == "PostgreSQL here: the moon is full"


@pytest.mark.parametrize(
    ("changed", "meaning", "text"),
    [
        ({"password": "wr0ng'\\ word"}, AccessError, "FATAL: Password authentication failed for user postgres"),
        ({"database": "nowhere"}, AccessError, 'FATAL: database "nowhere" does not exist'),
        ({"username": "nobody's"}, AccessError, "Password authentication failed for user nobody's"),
        ({"port": 1}, TransientError, "Connection refused. Check that the hostname and port are correct"),
        ({"host": "nowhere.invalid"}, (AccessError, TransientError), "nowhere.invalid"),
        ({"ssl": True}, AccessError, "server does not support SSL"),
    ],
    ids=["password", "database", "user", "port", "host", "ssl"],
)
def test_a_real_server_refuses(
    changed: dict[str, str], meaning: type[LockstitchError], text: str, postgres: PostgresDatabase
) -> None:
    with pytest.raises(LockstitchError) as refused:
        session_on(postgres, **changed)
    assert isinstance(refused.value, meaning)
    assert text in refused.value.message
    assert properties_of(postgres, **changed).password not in str(refused.value)


def test_a_server_that_never_answers_is_given_up(postgres: PostgresDatabase) -> None:
    with tcp_proxy(postgres.host, postgres.port) as proxy:
        proxy.fault = Fault(1, "to client", "stall")
        with pytest.raises(TransientError, match=r"Connection timed out\."):
            session_on(postgres, port=proxy.port, connect_timeout=2)


def test_a_server_out_of_connections_is_tried_again(postgres: PostgresDatabase) -> None:
    postgres.run(
        "CREATE ROLE guest LOGIN PASSWORD 'guest' CONNECTION LIMIT 0",
        f'GRANT CONNECT ON DATABASE "{postgres.database}" TO guest',
    )
    try:
        with pytest.raises(TransientError, match="too many connections"):
            session_on(postgres, username="guest", password="guest")
    finally:
        postgres.run(f'REVOKE ALL ON DATABASE "{postgres.database}" FROM guest', "DROP ROLE guest")


def test_a_constraint_violation_tells_the_table_but_not_the_rows_values(postgres: PostgresDatabase) -> None:
    postgres.run("CREATE TABLE public.secrets (word text PRIMARY KEY)", "INSERT INTO public.secrets VALUES ('xyzzy')")
    session = session_on(postgres)
    with pytest.raises(AccessError, match=r"duplicate key .*\(public\.secrets\)") as raised:
        session.run("INSERT INTO public.secrets VALUES ('xyzzy')")
    session.close()
    assert "xyzzy" not in str(raised.value)


def test_a_table_that_another_run_has_moved_before_the_copy_is_tried_again(postgres: PostgresDatabase) -> None:
    session = session_on(postgres)
    rows = pa.RecordBatchReader.from_batches(pa.schema({"id": pa.int64()}), [])
    moved = 'ERROR:  relation "_lockstitch.gone" does not exist'
    with pytest.raises(TransientError, match=rf"^PostgreSQL 127.*: {moved}") as raised:
        session.copy(Relation("_lockstitch", "gone"), rows)
    assert raised.value.hint == errors.CODES["42P01"].hint
    session.close()


def test_a_mistake_of_ours_stays_a_bug(postgres: PostgresDatabase) -> None:
    session = session_on(postgres)
    with pytest.raises(Exception, match="syntax error") as raised:
        session.run("SELEC 1")
    assert not isinstance(raised.value, LockstitchError)
    with pytest.raises(AssertionError, match="rolled back silently"):
        session.commit()
    session.close()
