"""Throw-away servers: what a crash keeps, and that a database given back is as good as new."""

from __future__ import annotations

import psycopg
import pytest

from lockstitch.testing.postgres_server import PostgresServer, ServerMissing, postgres_server


def test_a_killed_server_comes_back_with_what_was_committed(postgres_18: PostgresServer) -> None:
    database = postgres_18.create_database()
    database.run("CREATE TABLE public.t (a integer)", "INSERT INTO public.t VALUES (1)")
    postgres_18.kill()
    with pytest.raises(psycopg.OperationalError):
        database.query("SELECT 1")
    postgres_18.start()
    assert database.query("SELECT a FROM public.t") == [(1,)]
    postgres_18.drop_database(database)


def test_a_database_given_back_is_empty_when_it_is_lent_again(postgres_18: PostgresServer) -> None:
    database = postgres_18.create_database()
    database.run(
        "CREATE SCHEMA left_over",
        "CREATE TABLE left_over.t (a integer)",
        "CREATE TABLE public.t (a integer)",
        f"ALTER DATABASE \"{database.database}\" SET timezone = 'Asia/Tokyo'",
    )
    forgotten = psycopg.connect(database.uri)
    forgotten.execute("SELECT * FROM left_over.t")
    postgres_18.drop_database(database)
    again = postgres_18.create_database()
    forgotten.close()
    assert again == database
    assert again.query(
        "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    ) == [(0,)]
    assert again.query("SELECT current_setting('timezone') <> 'Asia/Tokyo'") == [(True,)]
    assert again.query("SELECT to_regnamespace('public') IS NOT NULL") == [(True,)]
    postgres_18.drop_database(again)


def test_a_version_that_is_not_there_is_told() -> None:
    with pytest.raises(ServerMissing, match="PostgreSQL 9 is not installed"), postgres_server(9):
        pass
