"""Names as a destination allows them (`spec/loading.md` sections 2 and 3), by the destination's `Rules`."""

from __future__ import annotations

import functools
import re

from lockstitch.core.rules import NameRule, Rules

SEPARATOR = "__"

#: The key that rows get where they come without one.
GENERATED_KEY = "__sdc_primary_key"

#: Columns beginning with `_sdc` that sources may bring themselves (`spec/loading.md` section 4).
SOURCE_SYSTEM_COLUMNS = frozenset(
    {
        "_sdc_extra",
        "_sdc_source_bucket",
        "_sdc_source_file",
        "_sdc_source_lineno",
        "_sdc_customer_id",
        "_sdc_record_hash",
        "_sdc_dimensions_hash_key",
        "_sdc_report_datetime",
        "_sdc_report_date",
        "_sdc_repository",
        "_sdc_form_id",
    }
)


@functools.lru_cache(maxsize=16_384)
def canonical(name: str, rule: NameRule) -> str:
    """Return the destination's form of a source's name; it can be empty. `_sdc` names are exempt from stripping."""
    name = {"keep": name, "lower": name.lower(), "upper": name.upper()}[rule.case]
    if name.lower().startswith(("_sdc", "__sdc")):
        return re.sub(f"[^{rule.allowed}]", rule.replacement, name)
    name = re.sub(f"^[^{rule.leading}]+", "", name)
    return re.sub(f"[^{rule.allowed}]", rule.replacement, name)


def fold(name: str, rules: Rules) -> str:
    """Return what two names of one column have in common."""
    return name if rules.case_sensitive else name.casefold()


def column_fault(name: str, rules: Rules, source: str) -> str | None:
    """Tell why a column may not have this (canonical) name, in Stitch's words, or None."""
    lowered = name.lower()
    if not name:
        return f"Column name {source} has no characters that {rules.title} allows"
    if lowered == GENERATED_KEY or (
        lowered.startswith(rules.reserved_prefixes) and lowered not in SOURCE_SYSTEM_COLUMNS
    ):
        return f"column names from client should not include reserved prefix on {name}"
    if lowered.endswith(rules.reserved_suffixes):
        return f"column names from client should not include reserved datatype suffix on {name}"
    if len(name) > rules.column_name_limit:
        return f"Column name {name} is too long for {rules.title}"
    return None


def table_fault(name: str, rules: Rules, source: str) -> str | None:
    """Tell why a table may not have this (canonical) name, in Stitch's words, or None."""
    if not name:
        return f"Table name {source} has no characters that {rules.title} allows"
    if name.lower().startswith(rules.reserved_prefixes):
        return f"table names from client should not include reserved prefix on {name}"
    if len(name) > rules.table_name_limit:
        return f"Table name {name} is too long for {rules.title}"
    return None


def table_name(path: tuple[str, ...], rules: Rules) -> str:
    """Return the name of a table, or with more than one part of a subtable."""
    return canonical(SEPARATOR.join(path), rules.table_name)
