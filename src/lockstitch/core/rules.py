"""How a destination names and types things: data that the layout follows, given by each `destinations/*/rules.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lockstitch.core.model import ColumnType, StitchType


@dataclass(frozen=True, slots=True)
class NameRule:
    """How a source's name becomes a destination's (`spec/loading.md` section 3.1).

    `allowed` is a regular expression class body of the characters kept (spaces are listed where kept); each other one
    becomes `replacement`. `leading` is the class body of what a name may begin with; other leading characters are
    stripped. Names of `_sdc` columns are exempt.
    """

    case: Literal["keep", "lower", "upper"]
    allowed: str
    replacement: str
    leading: str


@dataclass(frozen=True, slots=True)
class TypeRule:
    """One row of a destination's type table (`spec/loading.md` sections 6.2, 6.3 and 7).

    `minimum` and `maximum` bound the values: integers as they are, dates in microseconds since 1970 UTC.
    `precision` bounds a decimal's digits, `scale` those after the point; None is unbounded.
    `reads` are the engine's own names for column types that hold exactly the same values.
    """

    type: ColumnType
    suffix: str
    reads: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    precision: int | None = None
    scale: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """All that the layout must know of a destination.

    `title` is the X of the reject texts ("integer out of range for X"). `case_sensitive` tells whether two names that
    differ in case only are two columns. `split` says what happens to the first column when a second type arrives.
    `text_without_nul`: U+0000 cannot be stored, and is removed. `idle_bytes`: the bytes of Arrow that are worth a load
    of their own while the destination has nothing to do; None where small loads cost more than waiting.
    """

    title: str
    column_name: NameRule
    table_name: NameRule
    column_name_limit: int
    table_name_limit: int
    column_limit: int
    case_sensitive: bool
    types: Mapping[StitchType, TypeRule]
    split: Literal["rename", "keep"]
    text_without_nul: bool
    idle_bytes: int | None = None
    reserved_prefixes: tuple[str, ...] = ("_sdc", "_rjm")
    reserved_suffixes: tuple[str, ...] = ()
    rejected_table: str = "_sdc_rejected"
    #: Longest record text kept in the rejected table, in characters.
    record_limit: int = 1_000_000
