"""What the engine knows of one stream's tables while a lane is read: those that exist, and the version being filled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lockstitch.core.errors import SettingsError
from lockstitch.core.loads import Change, DropKey
from lockstitch.core.model import StreamPlan, Table
from lockstitch.core.rules import Rules
from lockstitch.layout.names import fold
from lockstitch.layout.stream import StreamLayout


@dataclass(slots=True)
class StreamTables:
    """A stream's tables and generations as they will stand once all loads handed over are committed."""

    plan: StreamPlan
    rules: Rules
    live: dict[str, Table]
    generations: dict[str, Table]
    published: int
    taken: frozenset[str] = frozenset()
    filling: int | None = None
    shown: int = 0
    #: The live tables when the version being filled began, as they will stand after the load that was open then.
    foreseen: dict[str, Table] = field(default_factory=dict[str, Table])
    layout: StreamLayout = field(init=False)

    def __post_init__(self) -> None:
        self._lay_out_anew(self.live)

    @classmethod
    def of(
        cls, plan: StreamPlan, rules: Rules, tables: Sequence[Table], published: int, others: Iterable[str] = ()
    ) -> StreamTables:
        """Pick out the stream's own among all tables of the schema; `others` are the tables that other streams have.

        Raises SettingsError where the stream's table is a subtable of another stream's.
        """
        own = [_claimed(table) for table in tables if plan.table in (table.name, table.parent)]
        live = {table.name: table for table in own if table.version is None}
        generations = {table.name: table for table in own if table.version is not None}
        parent = live[plan.table].parent if plan.table in live else None
        if parent is not None:
            raise SettingsError(
                f"stream {plan.selected.stream.name!r} would be table {plan.table!r}, a subtable of {parent!r}",
                hint="deselect the stream or drop the table, or replicate the stream by a connection of its own",
            )
        strange = {*others, *(table.name for table in tables if table.version is None and table.name not in live)}
        return cls(plan, rules, live, generations, published, frozenset(fold(name, rules) for name in strange))

    def _lay_out_anew(self, live: Mapping[str, Table]) -> None:
        tables = [*live.values(), *self.generations.values()]
        self.layout = StreamLayout(self.plan, self.rules, tables, self.filling, self.taken)

    @property
    def table_version(self) -> int:
        """What `_sdc_table_version` says of rows that come now."""
        return self.published if self.filling is None else self.shown

    def begin(self, version: int, *, shown: int, pending: bool) -> None:
        """The rows from here on belong to this version; generations of any other are stale.

        `shown` is what `_sdc_table_version` says of them: 0 for a version that the source knows nothing of.
        `pending`: the open load holds rows of the stream, so their tables count as they will stand after it.
        """
        if self.filling is None:
            self.foreseen = self._foreseen() if pending else self.live
        self.filling, self.shown = version, shown
        self.generations = {name: table for name, table in self.generations.items() if table.version == version}
        self._lay_out_anew(self.foreseen)

    def _foreseen(self) -> dict[str, Table]:
        laid = self.layout.tables
        return {**self.live, **{name: made.table(self.live.get(name)) for name, made in laid.items() if made.used}}

    def give_up(self) -> None:
        """The version being filled, if there is one, will not be published: rows belong to the tables again."""
        if self.filling is not None:
            self.filling, self.generations = None, {}
            self._lay_out_anew(self.foreseen)

    def publish(self) -> None:
        """The version being filled is complete."""
        self.published = self.table_version
        self.filling = None
        self.layout.publish()

    @property
    def loses_key(self) -> bool:
        """Whether rows are appended although the source gives a key: the table has another one, or none (R67)."""
        return bool(self.plan.key) and not (self.layout.keyed or self.layout.decides_key)

    def forget_keys(self, layout: StreamLayout) -> list[Change]:
        """Return the changes that forget stored keys which are not the incoming one (docs/layout.md, R67)."""
        if layout.keyed or layout.decides_key:
            return []
        keyed = [table for table in self.live.values() if table.key]
        self.live.update({table.name: replace(table, key=()) for table in keyed})
        return [DropKey(table.name) for table in keyed]


def _claimed(table: Table) -> Table:
    """A table that no load of ours has written yet was made by Stitch: its columns are the stream's."""
    return table if table.ours else replace(table, ours=frozenset(column.name for column in table.columns))
