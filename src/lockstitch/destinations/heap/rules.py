"""How rows reach the sender: names as the source has them, and values that JSON can say."""

from __future__ import annotations

from lockstitch.core.model import ColumnType
from lockstitch.core.rules import NameRule, Rules, TypeRule

_ANY = r"\s\S"
_NAME = NameRule(case="keep", allowed=_ANY, replacement="", leading=_ANY)

#: The years 1 to 9999, in microseconds since 1970.
_FIRST_TIME = -62_135_596_800_000_000
_LAST_TIME = 253_402_300_799_999_999

RULES = Rules(
    title="Heap",
    column_name=_NAME,
    table_name=_NAME,
    column_name_limit=1_023,
    table_name_limit=255,
    column_limit=10_000,
    case_sensitive=True,
    types={
        "integer": TypeRule(ColumnType("integer", "integer"), "bi", minimum=-(2**63), maximum=2**63 - 1),
        "boolean": TypeRule(ColumnType("boolean", "boolean"), "bo"),
        "date": TypeRule(ColumnType("date", "time"), "ti", minimum=_FIRST_TIME, maximum=_LAST_TIME),
        "double": TypeRule(ColumnType("double", "double"), "do"),
        "number": TypeRule(ColumnType("number", "decimal({scale})"), "de", precision=38),
        "string": TypeRule(ColumnType("string", "text"), "st"),
    },
    split="keep",
    text_without_nul=False,
    reserved_suffixes=("__bi", "__bo", "__de", "__do", "__st", "__ti"),
)
