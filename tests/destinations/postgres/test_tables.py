"""Tables as PostgreSQL keeps them: types, keys, generations, rights, and those that Stitch itself has made."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from destinations.postgres.opening import Opener, session_on
from lockstitch.core.errors import AccessError, SettingsError
from lockstitch.core.loads import AddColumn, CreateTable, DropKey, Load, Step
from lockstitch.core.model import StitchType
from lockstitch.destinations.postgres import state
from lockstitch.destinations.postgres.destination import refuse_version
from lockstitch.testing.contract.shop import CONNECTION, LANE, SCHEMA, Database, Shop
from lockstitch.testing.postgres_server import PostgresDatabase

VERSION = 7


@pytest.mark.parametrize(
    ("native", "stitch"),
    [
        ("bigint", "integer"),
        ("boolean", "boolean"),
        ("double precision", "double"),
        ("numeric", "number"),
        ("text", "string"),
        ("varchar", "string"),
        ("timestamptz", "date"),
        ("timestamp", "date"),
        ("integer", None),
        ("smallint", None),
        ("real", None),
        ("numeric(38,6)", None),
        ("varchar(20)", None),
        ("char(3)", None),
        ("timestamptz(3)", None),
        ("date", None),
        ("jsonb", None),
        ("text[]", None),
        ("bigint GENERATED ALWAYS AS (1 + 1) STORED", None),
    ],
)
def test_a_column_is_used_only_if_it_holds_all_values_of_its_type(
    shop: Shop, native: str, stitch: StitchType | None
) -> None:
    shop.database.sql(f"CREATE TABLE {SCHEMA}.t (c {native})")
    told = shop.table("t")
    assert told is not None
    kind = told.columns[0].type
    assert (kind.stitch if kind is not None else None) == stitch


def test_a_table_that_stitch_made_is_loaded_on(shop: Shop) -> None:
    """No row of ours tells of it; its times have no zone; its subtable is told by its columns."""
    shop.database.sql(
        f"CREATE TABLE {SCHEMA}.orders (id bigint NOT NULL, name varchar, at timestamp, size integer,"
        " _sdc_batched_at timestamp, _sdc_received_at timestamp, _sdc_sequence bigint, _sdc_table_version bigint,"
        " CONSTRAINT orders_pkey PRIMARY KEY (id))"
    )
    shop.database.sql(f"INSERT INTO {SCHEMA}.orders VALUES (1, 'one', '2020-01-01', 5, now(), now(), 1, 0)")
    shop.database.sql(
        f"CREATE TABLE {SCHEMA}.orders__lines (product text, _sdc_source_key_id bigint, _sdc_level_0_id bigint,"
        " _sdc_batched_at timestamp, _sdc_received_at timestamp, _sdc_sequence bigint, _sdc_table_version bigint)"
    )
    told, lines = shop.table("orders"), shop.table("orders__lines")
    assert told is not None
    assert lines is not None
    assert (told.key, told.ours, lines.parent) == (("id",), frozenset(), "orders")
    columns = shop.columns({"id": "integer", "name": "string", "at": "date"})
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    shop.load((Step("orders", "upsert", columns, ("id",)), [shop.row(id=1, name="ONE", at=noon), shop.row(id=2)]))
    rows = shop.database.sql(f"SELECT id, name, at, size FROM {SCHEMA}.orders ORDER BY id")
    assert rows == [(1, "ONE", noon.replace(tzinfo=None), 5), (2, None, None, None)]
    told = shop.table("orders")
    assert told is not None
    assert "size" not in told.ours
    assert {"name", "at"} <= told.ours


def test_a_key_is_a_constraint_named_after_its_table(shop: Shop) -> None:
    shop.given(
        shop.create("orders", {"id": "integer", "at": "date"}, ["at", "id"]), [shop.row(id=1, at=datetime.now(UTC))]
    )
    rows = shop.database.sql(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        f" WHERE conrelid = '{SCHEMA}.orders'::regclass AND contype = 'p'"
    )
    assert rows == [("orders_pkey", "PRIMARY KEY (at, id)")]
    assert shop.database.sql(
        "SELECT attname::text FROM pg_attribute"
        f" WHERE attrelid = '{SCHEMA}.orders'::regclass AND attnotnull AND attnum > 0 ORDER BY attname"
    ) == [("at",), ("id",)]


@pytest.mark.parametrize("published", [False, True], ids=["loaded", "published"])
def test_the_longest_names_get_keys_too(shop: Shop, published: bool) -> None:
    names = ["n" * 62 + end for end in "ab"]
    for name in names:
        table = CreateTable(name, shop.columns({"id": "integer"}), ("id",), version=VERSION if published else None)
        if published:
            fill = Step(name, "fill", table.columns, ("id",), version=VERSION)
            publish = Step(name, "publish", table.columns, ("id",), version=VERSION)
            shop.load((fill, [shop.row(id=1)]), (publish, []), changes=[table])
        else:
            shop.given(table, [shop.row(id=1)])
        shop.load((Step(name, "upsert", table.columns, ("id",)), [shop.row(id=1), shop.row(id=2)]))
        assert shop.tuples(name, "id") == [(1,), (2,)]
    assert sorted((table.name, table.key) for table in shop.destination.tables()) == [(name, ("id",)) for name in names]


def test_a_dropped_key_frees_its_columns_and_the_subtables_rows(shop: Shop) -> None:
    table = shop.create("t", {"id": "integer", "code": "string"}, ["id"])
    child = CreateTable(
        "t__c",
        shop.columns({"value": "integer", "_sdc_source_key_id": "integer", "_sdc_level_0_id": "integer"}),
        ("_sdc_source_key_id", "_sdc_level_0_id"),
        "t",
    )
    line = {"_sdc_source_key_id": 1, "_sdc_level_0_id": 0}
    steps = Step("t", "append", table.columns), Step("t__c", "append", child.columns, parent="t")
    shop.load((steps[0], [shop.row(id=1)]), (steps[1], [shop.row(value=1, **line)]), changes=[table, child])
    shop.load(
        (steps[0], [shop.row(code="a"), shop.row(id=1)]),
        (steps[1], [shop.row(value=2, **line)]),
        changes=[DropKey("t")],
    )
    assert shop.tuples("t", "id") == [(1,), (1,), (None,)]
    assert shop.tuples("t__c", "value") == [(1,), (2,)]
    assert {told.name: told.key for told in shop.destination.tables()} == {"t": (), "t__c": ()}


def test_publish_gives_a_table_the_key_of_its_new_content(shop: Shop) -> None:
    table = shop.create("t", {"id": "integer", "code": "string"}, ["id"])
    shop.given(table, [shop.row(id=1, code="a")])
    generation = CreateTable("t", table.columns, ("code",), version=VERSION)
    fill = Step("t", "fill", table.columns, ("code",), version=VERSION)
    publish = Step("t", "publish", table.columns, ("code",), version=VERSION)
    shop.load((fill, [shop.row(id=1, code="a"), shop.row(id=1, code="b")]), (publish, []), changes=[generation])
    assert shop.tuples("t", "id", "code") == [(1, "a"), (1, "b")]
    told = shop.table("t")
    assert told is not None
    assert told.key == ("code",)


def test_generations_that_nobody_fills_any_more_are_dropped_with_their_subtables(shop: Shop) -> None:
    def begin(version: int, *names: str) -> None:
        tables = [
            CreateTable(name, shop.columns({"id": "integer"}), ("id",), "t" if name != "t" else None, version)
            for name in names
        ]
        steps = [Step(name, "fill", tables[0].columns, ("id",), version=version) for name in names]
        shop.load(*((step, [shop.row(id=1)]) for step in steps), changes=tables)

    begin(1, "t", "t__a", "t__b")
    begin(2, "t", "t__a")
    assert {(table.name, table.version) for table in shop.destination.tables()} == {("t", 2), ("t__a", 2)}
    replace = Step("t", "replace", shop.columns({"id": "integer"}), ("id",))
    shop.load((replace, [shop.row(id=5)]), changes=[CreateTable("t", replace.columns, ("id",))])
    assert {(table.name, table.version) for table in shop.destination.tables()} == {("t", None)}
    left = shop.database.sql(
        "SELECT count(*) FROM pg_tables WHERE schemaname = '_lockstitch' AND tablename LIKE 'table%'"
    )
    assert left == [(0,)]


def test_a_column_for_rows_after_a_first_publish_in_one_load(shop: Shop) -> None:
    """The change comes before the table has its place."""
    table = CreateTable("t", shop.columns({"id": "integer"}), ("id",), version=VERSION)
    fill = Step("t", "fill", table.columns, ("id",), version=VERSION)
    shop.load((fill, [shop.row(id=1)]), changes=[table])
    late = shop.column("late", "string")
    publish = Step("t", "publish", table.columns, ("id",), version=VERSION)
    upsert = Step("t", "upsert", (*table.columns, late), ("id",))
    shop.load((publish, []), (upsert, [shop.row(id=2, late="x")]), changes=[AddColumn("t", late)])
    assert shop.tuples("t", "id", "late") == [(1, None), (2, "x")]


def test_a_users_view_of_the_tables_name_is_told_with_the_mend(shop: Shop) -> None:
    shop.database.sql(f"CREATE VIEW {SCHEMA}.orders AS SELECT 1 AS id")
    with pytest.raises(AccessError, match='relation "orders" already exists') as raised:
        shop.given(shop.create("orders", {"id": "integer"}, ["id"]), [shop.row(id=1)])
    assert raised.value.hint is not None
    assert "rename or drop" in raised.value.hint
    assert shop.mark is None


def test_rows_that_are_not_as_their_step_says_are_refused_before_the_driver_cuts_them(shop: Shop) -> None:
    table = shop.create("t", {"n": "integer", "at": "date"})
    step = Step("t", "append", table.columns)
    load = Load(CONNECTION, LANE, (step,), (table,))
    for rows in (
        {"n": pa.array([2**64 - 1], pa.uint64())},
        {"n": pa.array([1], pa.int32())},
        {"at": pa.array([1], pa.timestamp("ns", "UTC"))},
        {"other": pa.array([1])},
    ):
        with shop.destination.begin(load, None) as writer, pytest.raises(TypeError, match="not as their step says"):
            writer.write(step, pa.table(rows).to_reader())


def test_a_users_trigger_goes_on_working(shop: Shop) -> None:
    """It finds its tables by the search path, which a load must leave alone."""
    table = shop.create("orders", {"id": "integer"}, ["id"])
    shop.given(table, [shop.row(id=1)])
    for statement in (
        "CREATE TABLE public.audit (id bigint, what text)",
        "CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO audit VALUES (coalesce(new.id, old.id), tg_op); RETURN coalesce(new, old); END'",
        f"CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON {SCHEMA}.orders"
        " FOR EACH ROW EXECUTE FUNCTION public.note()",
    ):
        shop.database.sql(statement)
    shop.load((Step("orders", "upsert", table.columns, ("id",)), [shop.row(id=1), shop.row(id=2)]))
    noted = shop.database.sql("SELECT id, what FROM public.audit ORDER BY id")
    assert noted == [(1, "UPDATE"), (2, "INSERT")]


def test_a_takeover_without_our_rights_is_told(opener: Opener, loader: str) -> None:
    """What one role has made, another cannot load into."""
    opener().open(CONNECTION, SCHEMA)
    destination = opener(username=loader, password="l0ader")
    for call in (
        destination.check,
        lambda: destination.open(CONNECTION, "other"),
        lambda: destination.marks(CONNECTION),
    ):
        with pytest.raises(AccessError, match="permission denied for schema _lockstitch"):
            call()


# --- rights, schemas, formats -----------------------------------------------------------------------------------------


@pytest.fixture
def loader(postgres: PostgresDatabase) -> str:
    """Return a role with no more than the documented right."""
    name = f"loader_{secrets.token_hex(6)}"
    postgres.run(
        f"CREATE ROLE {name} LOGIN PASSWORD 'l0ader'", f'GRANT CREATE ON DATABASE "{postgres.database}" TO {name}'
    )
    return name


def test_create_on_database_is_all_that_a_loader_needs(opener: Opener, loader: str) -> None:
    destination = opener(username=loader, password="l0ader")
    destination.check()
    shop = Shop(Database(lambda: destination, opener.postgres.query))
    table = shop.create("orders", {"id": "integer"}, ["id"])
    shop.given(table, [shop.row(id=1)])
    generation = CreateTable("orders", table.columns, ("id",), version=VERSION)
    fill = Step("orders", "fill", table.columns, ("id",), version=VERSION)
    shop.load((fill, [shop.row(id=2)]), changes=[generation])
    shop.load((Step("orders", "publish", table.columns, ("id",), version=VERSION), []))
    assert shop.tuples("orders", "id") == [(2,)]


def test_without_that_right_the_grant_is_told(opener: Opener, loader: str) -> None:
    opener.postgres.run(f'REVOKE CREATE ON DATABASE "{opener.postgres.database}" FROM {loader}')
    destination = opener(username=loader, password="l0ader")
    with pytest.raises(AccessError) as refused:
        destination.check()
    assert refused.value.hint == f'GRANT CREATE ON DATABASE "{opener.postgres.database}" TO "{loader}"'
    with pytest.raises(AccessError, match="Encountered error while attempting to create new schema"):
        destination.open(CONNECTION, SCHEMA)


def test_schemas_that_are_there_already_need_no_right_to_make_them(opener: Opener, loader: str) -> None:
    opener.postgres.run(
        f'REVOKE CREATE ON DATABASE "{opener.postgres.database}" FROM {loader}',
        f"CREATE SCHEMA _lockstitch AUTHORIZATION {loader}",
        f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {loader}",
    )
    destination = opener(username=loader, password="l0ader")
    destination.check()
    destination.open(CONNECTION, SCHEMA)
    assert destination.tables() == []


def test_a_table_of_someone_else_is_told(opener: Opener, loader: str) -> None:
    destination = opener(username=loader, password="l0ader")
    shop = Shop(Database(lambda: destination, opener.postgres.query))
    table = shop.create("orders", {"id": "integer"}, ["id"])
    shop.given(table, [shop.row(id=1)])
    opener.postgres.run(f"ALTER TABLE {SCHEMA}.orders OWNER TO postgres")
    with pytest.raises(AccessError, match="ERROR: permission denied for table orders"):
        shop.load((Step("orders", "upsert", table.columns, ("id",)), [shop.row(id=1)]))
    with pytest.raises(AccessError, match="ERROR: must be owner of table orders"):
        shop.load(changes=[AddColumn("orders", shop.column("late", "string"))])


def test_a_check_of_a_good_destination_makes_nothing(opener: Opener) -> None:
    opener().check()
    assert opener().marks(CONNECTION) == {}
    assert opener().ledger(CONNECTION) == []
    assert opener.postgres.query("SELECT count(*) FROM pg_namespace WHERE nspname = '_lockstitch'") == [(0,)]


@pytest.mark.parametrize(
    "version",
    [
        "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2, Redshift 1.0.1",
        "PostgreSQL 12.22 on x86_64-pc-linux-gnu",
        "CockroachDB CCL v23.1",
    ],
)
def test_another_product_or_an_old_server_is_told_in_stitchs_words(version: str) -> None:
    with pytest.raises(AccessError, match="Please select the correct destination type") as refused:
        refuse_version(version)
    assert version in refused.value.message


def test_a_database_that_cannot_hold_every_text_is_refused(opener: Opener, postgres: PostgresDatabase) -> None:
    name = f"latin_{postgres.database}"
    postgres.run(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(AccessError, match="encoding LATIN1"):
            opener(database=name).check()
    finally:
        postgres.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("name", ["", "_lockstitch", "pg_mine", "n" * 64])
def test_a_schema_that_cannot_be_is_refused(opener: Opener, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be named"):
        opener().open(CONNECTION, name)


def test_a_newer_format_is_refused_by_all_that_reads_it(shop: Shop, opener: Opener) -> None:
    shop.load()
    shop.database.sql("UPDATE _lockstitch.format SET version = 99")
    for call in (lambda: opener().marks(CONNECTION), lambda: opener().ledger(CONNECTION), lambda: opener().check()):
        with pytest.raises(AccessError, match="format 99"):
            call()


def test_an_older_format_is_brought_to_the_newest(shop: Shop, opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.load(mark=None)
    before = shop.mark
    step = ("ALTER TABLE _lockstitch.marks ADD COLUMN later text",)
    monkeypatch.setattr(state, "MIGRATIONS", (*state.MIGRATIONS, step))
    later = opener()
    later.open(CONNECTION, SCHEMA)
    assert shop.database.sql("SELECT version FROM _lockstitch.format") == [(2,)]
    assert shop.database.sql("SELECT later FROM _lockstitch.marks") == [(None,)]
    assert later.marks(CONNECTION)[LANE] == before


def test_the_users_settings_do_not_change_what_we_store(opener: Opener, postgres: PostgresDatabase) -> None:
    for setting in (
        "timezone = 'Asia/Tokyo'",
        "datestyle = 'SQL, DMY'",
        "search_path = 'nowhere'",
        "statement_timeout = '500ms'",
        "default_transaction_isolation = 'serializable'",
        "bytea_output = 'escape'",
    ):
        postgres.run(f'ALTER DATABASE "{postgres.database}" SET {setting}')
    shop = Shop(Database(opener, postgres.query))
    table = shop.create("t", {"id": "integer", "at": "date"}, ["id"])
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    shop.given(table, [shop.row(id=n, at=noon) for n in range(1000)])
    shop.load((Step("t", "upsert", table.columns, ("id",)), [shop.row(id=n, at=noon) for n in range(500, 1500)]))
    assert {row["at"] for row in shop.held("t")} == {1_782_907_200_000_000}


def test_a_session_never_commits_after_an_error(postgres: PostgresDatabase) -> None:
    session = session_on(postgres)
    session.run("CREATE TABLE public.t (a integer)")
    with pytest.raises(Exception, match="does not exist"):
        session.run("SELECT * FROM public.missing")
    with pytest.raises(AssertionError):
        session.commit()
    session.close()
