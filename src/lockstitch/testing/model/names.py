"""Names: rules R01 to R16."""

from __future__ import annotations

import re

from lockstitch.core.rules import NameRule, Rules

#: Names with a reserved prefix that sources are known to bring (R08).
BROUGHT_BY_SOURCES = frozenset(
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


def canonical(name: str, rule: NameRule) -> str:
    """Return the destination's name for a source's; "" where nothing of it is left."""
    kept = "".join(letter if re.fullmatch(f"[{rule.allowed}]", letter) else rule.replacement for letter in name)
    while kept and not re.fullmatch(f"[{rule.leading}]", kept[0]):
        kept = kept[1:]
    return {"keep": kept, "lower": kept.lower(), "upper": kept.upper()}[rule.case]


def same(name: str, rules: Rules) -> str:
    """Return what two names have in common if they are one name to the destination."""
    return name if rules.case_sensitive else name.casefold()


def column_fault(source: str, name: str, rules: Rules) -> str | None:
    """Return why a column of this name is dropped; None if it is fine."""
    if not name:
        return f"Column name {source} has no characters that {rules.title} allows"
    if _is_reserved(name, rules) and name.casefold() not in BROUGHT_BY_SOURCES:
        return f"column names from client should not include reserved prefix on {name}"
    if name.casefold().endswith(rules.reserved_suffixes):
        return f"column names from client should not include reserved datatype suffix on {name}"
    if len(name) > rules.column_name_limit:
        return f"Column name {name} is too long for {rules.title}"
    return None


def table_fault(source: str, name: str, rules: Rules) -> str | None:
    """Return why all records of a table are rejected; None if its name is fine."""
    if not name:
        return f"Table name {source} has no characters that {rules.title} allows"
    if _is_reserved(name, rules):
        return f"table names from client should not include reserved prefix on {name}"
    if len(name) > rules.table_name_limit:
        return f"Table name {name} is too long for {rules.title}"
    return None


def _is_reserved(name: str, rules: Rules) -> bool:
    return name.casefold().startswith(rules.reserved_prefixes) or name.casefold() == "__sdc_primary_key"
