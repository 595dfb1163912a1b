"""How PostgreSQL names and types things (`spec/loading.md` sections 2, 3, 6 and 7). Data only."""

from __future__ import annotations

from lockstitch.core.model import ColumnType
from lockstitch.core.rules import NameRule, Rules, TypeRule

_NAMES = NameRule(case="keep", allowed="A-Za-z0-9_ ", replacement="", leading="A-Za-z_")

#: 4713-01-01 00:00:00 UTC BC in microseconds since 1970. PostgreSQL's own end, in 294276, is past what 64 bits hold.
_FIRST_MOMENT = -210_863_520_000_000_000
_LAST_MOMENT = 2**63 - 1

RULES = Rules(
    title="PostgreSQL",
    column_name=_NAMES,
    table_name=_NAMES,
    column_name_limit=59,
    table_name_limit=63,
    column_limit=1600,
    case_sensitive=True,
    types={
        "integer": TypeRule(ColumnType("integer", "bigint"), "bi", ("bigint",), -(2**63), 2**63 - 1),
        "boolean": TypeRule(ColumnType("boolean", "boolean"), "bo", ("boolean",)),
        # Stitch's older tables have no zone; our sessions run in UTC, so that both hold the same moments.
        "date": TypeRule(
            ColumnType("date", "timestamp with time zone"),
            "ti",
            ("timestamp with time zone", "timestamp without time zone"),
            _FIRST_MOMENT,
            _LAST_MOMENT,
        ),
        "double": TypeRule(ColumnType("double", "double precision"), "do", ("double precision",)),
        # Unbounded: 131,072 digits before the point and 16,383 after it are more than Arrow's 76.
        "number": TypeRule(ColumnType("number", "numeric"), "de", ("numeric",)),
        "string": TypeRule(ColumnType("string", "text"), "st", ("text", "character varying")),
    },
    split="rename",
    text_without_nul=True,
    # The server works beside us: what it merges meanwhile it need not merge at the end.
    idle_bytes=8 * 2**20,
    reserved_suffixes=("__bi", "__bo", "__de", "__do", "__it", "__st", "__ti"),
)

#: The type of a column of ours that is there already, by PostgreSQL's name for it. All others are the user's own:
#: smallint, integer, numeric(p,s), varchar(n), timestamp(p) would reject or round what we may have to write.
COLUMN_TYPES: dict[str, ColumnType] = {
    native: ColumnType(rule.type.stitch, native) for rule in RULES.types.values() for native in rule.reads
}


def native_type(kind: ColumnType) -> str:
    """Return the type that a new column is given."""
    return RULES.types[kind.stitch].type.native
