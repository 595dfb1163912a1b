"""How DuckDB names and types things: PostgreSQL's rules, DuckDB's types, names without case (docs/layout.md)."""

from __future__ import annotations

from lockstitch.core.model import ColumnType
from lockstitch.core.rules import NameRule, Rules, TypeRule

_NAME = NameRule(case="keep", allowed="A-Za-z0-9_ ", replacement="", leading="A-Za-z_")

#: DuckDB keeps the last values of 64 bits for infinity, and has no time before this one.
_FIRST_TIME = -9_223_372_022_400_000_000
_LAST_TIME = 2**63 - 2

RULES = Rules(
    title="DuckDB",
    column_name=_NAME,
    table_name=_NAME,
    column_name_limit=59,
    table_name_limit=63,
    column_limit=1_600,
    case_sensitive=False,
    types={
        "integer": TypeRule(ColumnType("integer", "BIGINT"), "bi", ("BIGINT",), minimum=-(2**63), maximum=2**63 - 1),
        "boolean": TypeRule(ColumnType("boolean", "BOOLEAN"), "bo", ("BOOLEAN",)),
        "date": TypeRule(
            ColumnType("date", "TIMESTAMP WITH TIME ZONE"),
            "ti",
            ("TIMESTAMP WITH TIME ZONE",),
            minimum=_FIRST_TIME,
            maximum=_LAST_TIME,
        ),
        "double": TypeRule(ColumnType("double", "DOUBLE"), "do", ("DOUBLE",)),
        "number": TypeRule(ColumnType("number", "DECIMAL(38,{scale})"), "de", precision=38),
        "string": TypeRule(ColumnType("string", "VARCHAR"), "st", ("VARCHAR",)),
    },
    split="keep",
    text_without_nul=False,
    reserved_suffixes=("__bi", "__bo", "__de", "__do", "__it", "__st", "__ti"),
)
