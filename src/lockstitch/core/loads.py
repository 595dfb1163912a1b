"""One load, as data: what it changes in the tables, what it does to each of them, and the account of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from lockstitch.core.model import Column


@dataclass(frozen=True, slots=True)
class CreateTable:
    """Make a table, or with `version` a generation of it. The key is added once the rows are in."""

    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    parent: str | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class AddColumn:
    """Add a nullable column at the end."""

    table: str
    column: Column
    version: int | None = None


@dataclass(frozen=True, slots=True)
class RenameColumn:
    """Rename a column that is being split, so that its name tells its type."""

    table: str
    old: str
    new: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class DropKey:
    """Forget a table's key, because the incoming key is another one; from here on rows are appended."""

    table: str


Change = CreateTable | AddColumn | RenameColumn | DropKey

#: append   rows are added to the table
#: upsert   rows replace stored ones of the same key; rows of a subtable replace all rows of the parents sent again
#: replace  the rows are the table's whole content from now on
#: fill     rows are added to the generation `version`, which nobody sees
#: publish  (no rows) the generation `version` becomes the table's whole content
Action = Literal["append", "upsert", "replace", "fill", "publish"]


@dataclass(frozen=True, slots=True)
class Step:
    """What one load does to one table, at one point of its order.

    `columns` are those that the rows may carry; a row's other columns of ours become NULL. Rows of an upsert hold each
    key once. `guarded`: a row replaces a stored one only if its `_sdc_sequence` is not smaller. `parent_key` pairs
    each of a subtable's `_sdc_source_key_*` columns with the parent's key column. `missing` is the Publish's. `rejects`
    are appended to `_sdc_rejected` and are no stream's rows: no account has them, not even that of a stream so named.
    """

    table: str
    action: Action
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    parent: str | None = None
    parent_key: tuple[tuple[str, str], ...] = ()
    version: int | None = None
    guarded: bool = False
    missing: Literal["remove", "mark_deleted"] = "remove"
    rejects: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """One transaction: the steps in their order, for all tables of the load, and the mark that comes with them."""

    connection: str
    lane: str
    steps: tuple[Step, ...]
    changes: tuple[Change, ...] = ()

    def position(self, step: Step) -> int:
        """Return which of the steps this very one is: two can be equal."""
        return next(at for at, one in enumerate(self.steps) if one is step)

    def goes_straight(self, step: Step) -> bool:
        """Tell whether nothing can be in the way of a step's rows: this load makes their table, and they come first.

        The rows of a subtable wait where the upsert of their parents may ignore some of them.
        """
        made = {one.table for one in self.changes if isinstance(one, CreateTable) and one.version is None}
        before = [one.table for one in self.steps[: self.position(step)]]
        if step.table not in made or step.table in before:
            return False
        # The parents' own step is among those before.
        return not step.guarded or step.parent is None or (step.parent in made and before.count(step.parent) == 1)


@dataclass(frozen=True, slots=True)
class StepCount:
    """What a step did, as the destination counted it.

    `ignored` rows lost to a greater stored sequence or, at a `publish`, to a later row of the generation: those were
    counted as inserted when it was filled, so a publish takes them back by a negative `inserted`. `total` is the
    table's row count afterwards, told by `replace` and `publish`. `removed` rows went without a successor: those of a
    subtable whose parent was sent again with fewer. `rejected` rows were refused by the destination itself, which keeps
    them with its reason, as it does those of `_sdc_rejected`.
    """

    inserted: int = 0
    updated: int = 0
    ignored: int = 0
    removed: int = 0
    total: int | None = None
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One load's account of one table: read = inserted + updated + superseded + rejected.

    `superseded` rows were sent again within the load, or lost to a greater stored sequence. `checksum` is the sum of
    the landed rows' `_sdc_sequence`, modulo 2**63: it does not depend on order. `removed` rows went without a
    successor. `total` is the table's row count after a load that replaced its content. `adjusted` counts, of the
    stream's rows and those of its subtables, each text that was changed, and each column and subtable that was left
    out: with `rejected` all that the load adds to `_sdc_rejected`. `committed_at` is told by a destination's ledger
    alone.
    """

    table: str
    read: int = 0
    inserted: int = 0
    updated: int = 0
    superseded: int = 0
    rejected: int = 0
    adjusted: int = 0
    checksum: int = 0
    removed: int = 0
    total: int | None = None
    committed_at: datetime | None = field(default=None, compare=False)

    def completed(self, steps: Sequence[Step], counts: Sequence[StepCount]) -> LedgerRow:
        """Fill in what the load's steps did to this table."""
        both = zip(steps, counts, strict=True)
        own = [count for step, count in both if step.table == self.table and not step.rejects]
        totals = [count.total for count in own if count.total is not None]
        return replace(
            self,
            inserted=sum(count.inserted for count in own),
            updated=sum(count.updated for count in own),
            removed=sum(count.removed for count in own),
            superseded=self.superseded + sum(count.ignored for count in own),
            rejected=self.rejected + sum(count.rejected for count in own),
            total=totals[-1] if totals else None,
        )


@dataclass(frozen=True, slots=True)
class Reject:
    """A record, or a value of it, that the destination cannot hold exactly. `record` is JSON, as much as fits."""

    table: str
    reason: str
    record: str
