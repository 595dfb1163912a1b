"""Connections, servers and runs that die at the worst moment: each row lands once, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

import pyarrow as pa
import pytest

from destinations.postgres.opening import Opener
from lockstitch.core import points
from lockstitch.core.errors import Superseded, TransientError
from lockstitch.core.loads import AddColumn, CreateTable, LedgerRow, Load, Step
from lockstitch.core.model import Mark
from lockstitch.core.points import Point
from lockstitch.destinations.postgres.destination import Postgres
from lockstitch.testing.contract.shop import CONNECTION, LANE, SCHEMA, Database, Shop, reader
from lockstitch.testing.postgres_server import PostgresDatabase, PostgresServer
from lockstitch.testing.tcp_proxy import Fault, TcpProxy, tcp_proxy

VERSION = 7


class Orders:
    """A load that adds a column, upserts into one table and makes another, and what is there afterwards."""

    def __init__(self, shop: Shop) -> None:
        table = shop.create("orders", {"id": "integer", "name": "string"}, ["id"])
        shop.given(table, [shop.row(id=n, name="old") for n in range(20)])
        late, log = shop.column("late", "boolean"), shop.create("log", {"line": "string"})
        self.steps = (Step("orders", "upsert", (*table.columns, late), ("id",)), Step("log", "append", log.columns))
        self.load = Load(CONNECTION, LANE, self.steps, (AddColumn("orders", late), log))
        self.rows = [shop.row(id=n, name=f"new {n} " + "x" * 200, late=True) for n in range(10, 400)]
        self.lines = [shop.row(line=f"line {n} " + "x" * 200) for n in range(200)]
        self.after = shop.mark
        self.mark = Mark(1, 2, {"file": 2}, 10_000)
        self.before = self.held(shop)

    def carry(self, destination: Postgres) -> None:
        with destination.begin(self.load, self.after) as writer:
            for step, rows in zip(self.steps, (self.rows, self.lines), strict=True):
                writer.write(step, reader(step.columns, rows, 50))
            writer.commit(self.mark, [LedgerRow("orders", read=390), LedgerRow("log", read=200)])

    def held(self, shop: Shop) -> dict[str, Any]:
        tables = {table.name: shop.held(table.name) for table in shop.destination.tables()}
        return {**tables, "mark": shop.mark, "ledger": list(shop.destination.ledger(CONNECTION))}

    def check_all_or_nothing(self, shop: Shop) -> bool:
        """Return whether the load has landed. Asserts that it has done so whole, or not at all."""
        if shop.mark == self.after:
            assert self.held(shop) == self.before
            return False
        assert shop.mark == self.mark
        assert len(shop.held("orders")) == 400
        assert {row["name"][:3] for row in shop.held("orders") if row["id"] >= 10} == {"new"}
        assert len(shop.held("log")) == 200
        assert len(shop.destination.ledger(CONNECTION)) == 2
        return True


def _backends(postgres: PostgresDatabase) -> list[int]:
    rows = postgres.query(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'lockstitch' AND datname = current_database()"
    )
    return [pid for (pid,) in rows]


def _kill_backends(postgres: PostgresDatabase) -> None:
    for pid in _backends(postgres):
        postgres.query(f"SELECT pg_terminate_backend({pid}, 5000)")


@pytest.fixture
def at_point(monkeypatch: pytest.MonkeyPatch) -> Callable[[Point, Callable[[], None]], None]:
    """Do something once, when a point is reached."""
    monkeypatch.setattr(points, "_listeners", [])

    def listen(point: Point, act: Callable[[], None]) -> None:
        done: list[Point] = []

        def listener(reached: Point) -> None:
            if reached == point and not done:
                done.append(reached)
                act()

        points.listen(listener)

    return listen


@pytest.mark.parametrize("point", ["mark locked", "changes made", "step applied", "mark written"])
def test_a_connection_killed_in_the_commit_leaves_nothing_and_the_load_can_be_repeated(
    shop: Shop,
    opener: Opener,
    point: Point,
    at_point: Callable[[Point, Callable[[], None]], None],
) -> None:
    orders = Orders(shop)
    destination = opener()
    destination.open(CONNECTION, SCHEMA)
    at_point(point, lambda: _kill_backends(opener.postgres))
    with pytest.raises(TransientError):
        orders.carry(destination)
    shop = shop.again()
    assert not orders.check_all_or_nothing(shop)
    orders.carry(destination)
    assert orders.check_all_or_nothing(shop)


@pytest.mark.parametrize("step", [0, 1])
def test_a_connection_killed_in_the_middle_of_copy(shop: Shop, opener: Opener, step: int) -> None:
    orders = Orders(shop)
    shop.destination.close()

    def dying(columns: Any, rows: Any) -> pa.RecordBatchReader:
        batches = list(reader(columns, rows, 50))

        def read() -> Iterator[pa.RecordBatch]:
            yield batches[0]
            _kill_backends(opener.postgres)
            yield from batches[1:]

        return pa.RecordBatchReader.from_batches(batches[0].schema, read())

    def carry() -> None:
        with shop.destination.begin(orders.load, orders.after) as writer:
            for at, rows in enumerate((orders.rows, orders.lines)):
                one = orders.steps[at]
                writer.write(one, (dying if at == step else reader)(one.columns, rows))
            writer.commit(orders.mark, [])

    with pytest.raises(TransientError, match=r"I/O error|terminating"):
        carry()
    assert not orders.check_all_or_nothing(shop)


def test_a_reader_that_fails_is_told_as_it_is_and_leaves_nothing(shop: Shop) -> None:
    orders = Orders(shop)
    step = orders.steps[0]

    def read() -> Iterator[pa.RecordBatch]:
        yield from reader(step.columns, orders.rows[:3])
        raise LookupError("the spool has gone")

    schema = reader(step.columns, orders.rows).schema
    with shop.destination.begin(orders.load, orders.after) as writer, pytest.raises(LookupError, match="has gone"):
        writer.write(step, pa.RecordBatchReader.from_batches(schema, read()))
    assert not orders.check_all_or_nothing(shop)


@pytest.mark.parametrize(
    ("places", "direction", "how"),
    [
        (5, "to server", "reset"),
        (5, "to client", "close"),
        *(
            pytest.param(100, direction, how, marks=pytest.mark.long)
            for direction in ("to server", "to client")
            for how in ("reset", "close")
        ),
    ],
)
def test_the_network_is_cut_after_n_bytes(
    shop: Shop,
    opener: Opener,
    places: int,
    direction: Literal["to server", "to client"],
    how: Literal["reset", "close"],
) -> None:
    """At places all over a load, from the greeting to the answer to COMMIT."""
    with tcp_proxy(opener.postgres.host, opener.postgres.port) as proxy:
        total = _bytes_of_a_load(opener, proxy, direction)
        landed = [
            _cut(_emptied(shop, opener), opener(port=proxy.port), proxy, Fault(after, direction, how))
            for after in (*range(1, total, total // places), *range(total - places * 5, total + 1, 10))
        ]
    assert not all(landed)


def _emptied(shop: Shop, opener: Opener) -> Shop:
    opener.close()
    shop.database.sql(f"DROP SCHEMA IF EXISTS {SCHEMA}, _lockstitch CASCADE")
    return Shop(shop.database)


def _cut(shop: Shop, destination: Postgres, proxy: TcpProxy, fault: Fault) -> bool:
    orders = Orders(shop)
    proxy.fault = fault
    failed = _fails(orders, destination, shop)
    landed = orders.check_all_or_nothing(shop)
    assert landed or failed
    if not landed:
        orders.carry(destination)
        assert orders.check_all_or_nothing(shop)
    return landed


def _fails(orders: Orders, destination: Postgres, shop: Shop) -> bool:
    try:
        destination.open(CONNECTION, SCHEMA)
        orders.carry(destination)
    except TransientError:
        # The engine carries a failed load out again: one that had landed after all is told by the fence.
        if shop.mark == orders.mark:
            destination.open(CONNECTION, SCHEMA)
            with pytest.raises(Superseded):
                orders.carry(destination)
        return True
    return False


def _bytes_of_a_load(opener: Opener, proxy: TcpProxy, direction: str) -> int:
    shop = Shop(Database(opener, opener.postgres.query))
    orders = Orders(shop)
    before = proxy.passed[direction]
    destination = opener(port=proxy.port)
    destination.open(CONNECTION, SCHEMA)
    orders.carry(destination)
    return proxy.passed[direction] - before


def test_a_server_killed_and_started_again_in_the_middle_of_a_load(shop: Shop, postgres_18: PostgresServer) -> None:
    orders = Orders(shop)

    def carry() -> None:
        with shop.destination.begin(orders.load, orders.after) as writer:
            writer.write(orders.steps[0], reader(orders.steps[0].columns, orders.rows))
            postgres_18.kill()
            writer.write(orders.steps[1], reader(orders.steps[1].columns, orders.lines))

    with pytest.raises(TransientError):
        carry()
    postgres_18.start()
    assert not orders.check_all_or_nothing(shop)
    orders.carry(cast("Postgres", shop.destination))
    assert orders.check_all_or_nothing(shop)


def test_a_server_that_is_down_is_a_retry_verdict(opener: Opener, postgres_18: PostgresServer) -> None:
    postgres_18.stop()
    try:
        with pytest.raises(TransientError, match="Connection refused"):
            opener().marks(CONNECTION)
    finally:
        postgres_18.start()


@pytest.mark.parametrize("_attempt", range(5))
def test_of_two_first_runs_at_once_one_wins(opener: Opener, _attempt: int) -> None:
    shops = [opener() for _ in range(2)]
    start = threading.Barrier(2)
    outcomes: list[str] = ["", ""]

    def run(which: int) -> None:
        destination = shops[which]
        start.wait()
        destination.open(CONNECTION, SCHEMA)
        shop = Shop(Database(lambda: destination, opener.postgres.query))
        table = shop.create("orders", {"id": "integer"}, ["id"])
        step = Step("orders", "upsert", table.columns, ("id",))
        try:
            with destination.begin(Load(CONNECTION, LANE, (step,), (table,)), None) as writer:
                writer.write(step, reader(step.columns, [shop.row(id=n) for n in range(100)]))
                start.wait()
                writer.commit(Mark(1, 1, which), [])
            outcomes[which] = "landed"
        except Superseded:
            outcomes[which] = "superseded"

    threads = [threading.Thread(target=run, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["landed", "superseded"]
    shop = Shop(Database(opener, opener.postgres.query))
    assert shop.mark is not None
    assert shop.mark.cursor == outcomes.index("landed")
    assert len(shop.held("orders")) == 100


def test_a_stopped_run_that_holds_a_generation_is_ended_by_the_run_that_publishes_it(shop: Shop) -> None:
    table = CreateTable("orders", shop.columns({"id": "integer"}), ("id",), version=VERSION)
    fill = Step("orders", "fill", table.columns, ("id",), version=VERSION)
    publish = Step("orders", "publish", table.columns, ("id",), version=VERSION)
    shop.load((fill, [shop.row(id=1)]), changes=[table])
    other = shop.again()

    def wake_late() -> None:
        with shop.destination.begin(Load(CONNECTION, LANE, (fill,)), shop.mark) as stopped:
            stopped.write(fill, reader(fill.columns, [shop.row(id=1000)]))
            other.load((fill, [other.row(id=2)]), (publish, []))
            stopped.commit(Mark(1, 2, "zombie"), [])

    with pytest.raises(TransientError):
        wake_late()
    assert shop.tuples("orders", "id") == [(1,), (2,)]


def test_a_stopped_fill_lands_nothing_after_another_run_went_on(shop: Shop) -> None:
    table = CreateTable("orders", shop.columns({"id": "integer"}), ("id",), version=VERSION)
    fill = Step("orders", "fill", table.columns, ("id",), version=VERSION)
    shop.load((fill, [shop.row(id=1)]), changes=[table])
    other = shop.again()

    def wake_late() -> None:
        with shop.destination.begin(Load(CONNECTION, LANE, (fill,)), shop.mark) as stopped:
            stopped.write(fill, reader(fill.columns, [shop.row(id=1000)]))
            other.load((fill, [other.row(id=2)]))
            stopped.commit(Mark(1, 2, "zombie"), [])

    with pytest.raises(Superseded):
        wake_late()
    shop.load((Step("orders", "publish", table.columns, ("id",), version=VERSION), []))
    assert shop.tuples("orders", "id") == [(1,), (2,)]


def test_a_load_into_a_generation_that_is_gone_is_superseded(shop: Shop) -> None:
    fill = Step("orders", "fill", shop.columns({"id": "integer"}), ("id",), version=VERSION)
    with pytest.raises(Superseded, match="version 7 of table 'orders' is gone"):
        shop.load((fill, [shop.row(id=1)]))


def test_a_lock_held_by_someone_else_is_a_retry_verdict_and_nothing_waits_for_ever(shop: Shop, opener: Opener) -> None:
    import psycopg

    orders = Orders(shop)
    with psycopg.connect(opener.postgres.uri) as reading:
        reading.execute(f"SELECT * FROM {SCHEMA}.orders").fetchall()
        with pytest.raises(TransientError, match="lock timeout") as raised:
            orders.carry(cast("Postgres", shop.destination))
        assert "pg_locks" in str(raised.value.hint)
    assert not orders.check_all_or_nothing(shop)


def test_an_upsert_waits_for_no_reader(shop: Shop, opener: Opener) -> None:
    """Readers see the old rows until the commit, and the commit does not wait for them."""
    import psycopg

    table = shop.create("orders", {"id": "integer", "name": "string"}, ["id"])
    shop.given(table, [shop.row(id=1, name="old")])
    with psycopg.connect(opener.postgres.uri) as reading:
        reading.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        count = f"SELECT name FROM {SCHEMA}.orders"
        assert reading.execute(count).fetchall() == [("old",)]
        for action in ("upsert", "replace"):
            shop.load((Step("orders", action, table.columns, ("id",)), [shop.row(id=1, name=action)]))
            assert reading.execute(count).fetchall() == [("old",)]
    assert shop.tuples("orders", "name") == [("replace",)]


def test_an_idle_connection_that_has_died_is_noticed_and_the_next_try_succeeds(shop: Shop, opener: Opener) -> None:
    assert shop.mark is None
    _kill_backends(opener.postgres)
    with pytest.raises(TransientError):
        shop.destination.marks(CONNECTION)
    assert shop.mark is None
