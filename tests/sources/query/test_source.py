"""What is read of tables and queries, what is new, and what is out of reach."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lockstitch.core.errors import AccessError, LockstitchError, SettingsError, SourceDataError, TransientError
from lockstitch.core.model import Batch, Field, Publish, Version
from lockstitch.sources.query.spec import Properties, open_source
from lockstitch.toolkit import databases, held
from sources.query.asked import STREAMS, Shop, last, rows


def test_rows_come_as_they_are(shop: Shop) -> None:
    found = rows(shop.read("orders"))
    assert found[0] == {
        "id": 1,
        "email": "a@example.com",
        "total": Decimal("12.50"),
        "paid": True,
        "updated_at": datetime(2026, 1, 1, 10, tzinfo=UTC),
    }
    assert [row["id"] for row in found] == [1, 2, 3, 4]
    assert found[2]["email"] is found[2]["total"] is found[2]["paid"] is None
    assert found[3]["email"] == "ä 🧵 'quoted'"


def test_streams_are_told_with_their_fields_and_keys(shop: Shop) -> None:
    by_name = {stream.name: stream for stream in shop.source().discover()}
    assert list(by_name) == ["by_day", "orders", "paid"]
    orders = by_name["orders"]
    assert orders.fields == (
        Field("id", "integer"),
        Field("email"),
        Field("total", "number"),
        Field("paid", "boolean"),
        Field("updated_at", "string", "date-time"),
    )
    assert (orders.key, orders.replication_method, orders.replication_key) == (("id",), "INCREMENTAL", "updated_at")
    assert by_name["paid"].replication_method == "FULL_TABLE"


@pytest.mark.parametrize(
    ("query", "repeated"),
    [
        ("select id, email, total as email, paid as id from orders", "email, id"),
        ("select one.*, two.id from orders as one, orders as two -- a comment", "id"),
        ("with one as (select id as a from orders) select *, a, a as b from one order by 1 limit 3;", "a"),
    ],
)
def test_two_columns_of_one_name_are_refused(shop: Shop, query: str, repeated: str) -> None:
    with pytest.raises(SettingsError, match=f"streams.twice has more than one column named {repeated}\n") as refused:
        shop.source({"twice": {"query": query}}).check()
    assert "by as" in str(refused.value.hint)


def test_duckdb_takes_columns_that_differ_in_case_for_one(duckdb_shop: Shop, postgres_shop: Shop) -> None:
    streams = {"twice": {"query": 'select id as a, total as "A" from orders where id = 1'}}
    with pytest.raises(SettingsError, match="more than one column named A\n"):
        duckdb_shop.source(streams).check()
    assert rows(postgres_shop.read("twice", streams=streams)) == [{"a": 1, "A": Decimal("12.50")}]


def test_only_what_is_new_comes_next(shop: Shop) -> None:
    cursor = last(shop.read("orders"))
    assert rows(shop.read("orders", cursor)) == []
    shop.run("insert into orders values (5, 'e', 1, true, '2026-01-03 10:00:00+00')")  # the last one's own time
    shop.run("insert into orders values (6, 'f', 1, true, '2026-01-04 10:00:00+00')")
    shop.run("update orders set email = 'new', updated_at = '2026-01-05 10:00:00+00' where id = 1")
    again = shop.read("orders", cursor)
    assert [row["id"] for row in rows(again)] == [5, 6, 1]
    assert rows(shop.read("orders", last(again))) == []


def test_a_whole_answer_replaces_the_one_before(shop: Shop) -> None:
    first = shop.read("paid")
    assert isinstance(first[0], Version)
    assert isinstance(first[-2], Publish)
    shop.run("delete from orders where id = 1")
    second = shop.read("paid", last(first))
    assert isinstance(second[0], Version)
    assert second[0].number > first[0].number
    assert [row["id"] for row in rows(second)] == [4]


def test_a_cursor_that_is_null_is_refused(shop: Shop) -> None:
    shop.run("insert into orders values (7, 'g', 1, true, null)")
    with pytest.raises(SourceDataError, match="cursor column updated_at is null") as refused:
        shop.read("orders")
    assert "coalesce" in (refused.value.hint or "")


def test_a_cursor_that_is_null_later_on_is_refused_too(shop: Shop) -> None:
    cursor = last(shop.read("orders"))
    shop.run("insert into orders values (7, 'g', 1, true, null)")
    with pytest.raises(SourceDataError, match="cursor column updated_at is null"):
        shop.read("orders", cursor)


#: Without a key, so that nothing downstream heals a row that came twice or never.
LOG: Mapping[str, Any] = {"log": {"query": "select updated_at, paid from orders", "cursor": "updated_at"}}


def test_equal_rows_come_as_often_as_there_are_of_them(shop: Shop) -> None:
    shop.run("delete from orders")
    equal = "insert into orders values (1, 'x', 1, true, '2026-01-01 10:00:00+00')"
    for _ in range(2):
        shop.run(equal)
    first = shop.read("log", streams=LOG)
    assert len(rows(first)) == 2
    shop.run(equal)
    again = shop.read("log", last(first), streams=LOG)
    assert len(rows(again)) == 1
    assert rows(shop.read("log", last(again), streams=LOG)) == []


def test_equal_rows_in_several_batches_all_come(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "_ROWS", 2048)
    monkeypatch.setattr(databases, "_PYTHON_ROWS", 2048)
    shop.run("delete from orders")
    shop.run("insert into orders select 1, 'x', 1, true, '2026-01-01 10:00:00+00' from generate_series(1, 5000)")
    messages = shop.read("log", streams=LOG)
    assert len([one for one in messages if isinstance(one, Batch)]) > 1
    assert len(rows(messages)) == 5000


@pytest.mark.parametrize("taken", ["_lockstitch_cursor", "_LOCKSTITCH_CURSOR"])
def test_a_column_may_have_the_name_of_ours(shop: Shop, taken: str) -> None:
    streams = {"named": {"query": f'select id, updated_at, email as "{taken}" from orders', "cursor": "updated_at"}}
    first = shop.read("named", streams=streams)
    assert rows(first)[0] == {"id": 1, "updated_at": datetime(2026, 1, 1, 10, tzinfo=UTC), taken: "a@example.com"}
    assert rows(shop.read("named", last(first), streams=streams)) == []


def test_many_rows_of_one_value_are_read_again_rather_than_missed(shop: Shop) -> None:
    shop.run("delete from orders")
    shop.run("insert into orders select n, 'x', n, true, '2026-01-01' from generate_series(1, 1500) as t(n)")
    cursor = last(shop.read("orders"))
    assert isinstance(cursor, dict)
    assert cursor["seen"] == []
    assert len(rows(shop.read("orders", cursor))) == 1500


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no table": ({"table": "nothing"}, "cannot answer the query"),
    "bad SQL": ({"query": "select from where"}, "cannot answer the query"),
    "two statements": ({"query": "select 1 as a); delete from orders; select * from (select 2 as a"}, "cannot answer"),
    "no key": ({"table": "orders", "key": ["nr"]}, "names the column 'nr', which is not in its answer"),
    "no cursor": ({"table": "orders", "cursor": "at"}, "names the column 'at', which is not in its answer"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_stream_is_told_with_a_hint(shop: Shop, name: str) -> None:
    value, told = WRONG[name]
    with pytest.raises(SettingsError, match=told) as refused:
        shop.source({"orders": value}).check()
    assert refused.value.hint
    assert len(rows(shop.read("orders"))) == 4


def test_a_query_cannot_write(shop: Shop) -> None:
    made = {"orders": {"query": "delete from orders returning id"}}
    with pytest.raises(SettingsError):
        shop.source(made).check()
    assert len(rows(shop.read("orders"))) == 4


OUT_OF_REACH = [
    "select * from read_csv('{file}', header = false)",
    "select * from read_text('{file}')",
    "select * from '{file}'",
    "select * from glob('/*')",
    "select * from read_csv('http://127.0.0.1:9/x.csv')",
    "select * from secret_of_this_program",
]


@pytest.mark.parametrize("sql", OUT_OF_REACH)
def test_a_query_of_a_duckdb_file_reaches_nothing_else(duckdb_shop: Shop, tmp_path: Path, sql: str) -> None:
    import pandas as pd

    secret_of_this_program = pd.DataFrame({"a": ["secret-value"]})
    (tmp_path / "file.csv").write_text("secret-value\n")
    query = sql.format(file=tmp_path / "file.csv")
    for statement in (query, f"{query}) as q; set enable_external_access = true; select * from ({query}"):
        with pytest.raises(SettingsError) as refused:
            duckdb_shop.source({"out": {"query": statement}}).check()
        assert "secret-value" not in str(refused.value)
    assert len(secret_of_this_program) == 1


def test_a_file_in_use_is_waited_for_and_told(duckdb_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(duckdb_shop.properties["path"])
    monkeypatch.setattr(databases, "held", partial(held.held, patience=0.2))
    with pytest.raises(TransientError, match="in use by other runs"), _held_by_another(path):
        duckdb_shop.source().check()


def _held_by_another(path: Path) -> Any:
    return held.held(path)


def test_the_file_is_free_while_rows_are_taken(duckdb_shop: Shop) -> None:
    source = duckdb_shop.source()
    [lane] = [lane for lane in source.lanes([]) or source.lanes(_selected(source)) if lane.name == "orders"]
    messages = source.read(lane, None)
    next(messages)
    with duckdb.connect(duckdb_shop.properties["path"]) as db:  # a writer
        db.execute("insert into orders values (9, 'x', 1, true, now())")


def _selected(source: Any) -> Any:
    from lockstitch.core.model import Selected

    return [Selected(stream) for stream in source.discover()]


def test_a_server_that_refuses_is_told_without_the_password(postgres_shop: Shop) -> None:
    for change, kind in (({"database": "nowhere"}, AccessError), ({"port": 1}, TransientError)):
        properties: dict[str, Any] = {**postgres_shop.properties, "password": "a-password-of-mine", **change}
        with pytest.raises(kind) as refused:
            open_source(Properties(streams=dict(STREAMS), **properties), spool=postgres_shop.spool).check()
        assert "a-password-of-mine" not in str(refused.value)
        assert refused.value.hint


def test_a_full_disk_is_told_and_may_pass(shop: Shop) -> None:
    shop.run("insert into orders select n, 'x', n, true, '2026-01-01' from generate_series(10, 20000) as t(n)")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(TransientError, match="the answer cannot be kept on disk") as full:
            shop.read("paid")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "LOCKSTITCH_HOME" in (full.value.hint or "")
    assert list(shop.spool.iterdir()) == []


def test_nothing_is_left_in_the_spool(shop: Shop) -> None:
    shop.read("orders")
    assert list(shop.spool.iterdir()) == []


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"streams": STREAMS}, "names neither of path and host"),
        ({"streams": STREAMS, "path": "x", "host": "y"}, "names both of path and host"),
        ({"streams": STREAMS, "host": "y"}, "lacks username, database"),
        ({"streams": {}, "path": "x"}, "streams is empty"),
        ({"streams": {"a": {}}, "path": "x"}, "streams.a names neither of table and query"),
        ({"streams": {"a": {"table": "t", "query": "q"}}, "path": "x"}, "streams.a names both of table and query"),
        ({"streams": {"a": {"tabel": "t"}}, "path": "x"}, "unknown field `tabel`"),
    ],
)
def test_settings_that_do_not_suffice_are_refused_with_a_hint(properties: dict[str, Any], told: str) -> None:
    with pytest.raises(LockstitchError, match=told) as refused:
        open_source(Properties(**properties))
    assert refused.value.hint
