"""Decides before reading what a run will do: streams, tables, keys, and what it cannot promise. All plain data."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Plan, Selected, Selection, Stream, StreamChoice, StreamPlan
from lockstitch.core.protocols import Destination, Source
from lockstitch.core.rules import Rules
from lockstitch.layout.names import canonical, fold, table_fault


def make_plan(
    source: Source,
    destination: Destination,
    *,
    connection: str,
    schema: str,
    selection: Selection,
    discovered: Callable[[Sequence[Stream]], None] = lambda _: None,
) -> Plan:
    """Return the plan of the next run; `discovered` is told what the source offers.

    Raises SettingsError for a stream or field that does not exist.
    """
    streams = source.discover()
    discovered(streams)
    wanted = choose(streams, selection)
    plans = {one.stream.name: plan_stream(one, destination, source) for one in wanted}
    _refuse_shared_tables(plans, destination.rules)
    lanes = tuple(source.lanes(wanted))
    warnings = [
        f"{lane.name}: the source may repeat rows after a failure, and {name} has no key: rows can land twice"
        for lane in lanes
        for name in lane.streams
        if lane.replay == "repeats" and name in plans and adds_rows(plans[name])
    ]
    return Plan(connection, schema, lanes, plans, tuple(warnings))


def adds_rows(plan: StreamPlan) -> bool:
    """Tell whether rows are added to those that are there: without a key, and not by versions that replace them."""
    return not plan.key and plan.selected.method != "FULL_TABLE"


def rows_appended(plan: StreamPlan) -> str:
    """Say what becomes of rows whose key is not the table's (docs/layout.md, R67)."""
    return (
        f"table {plan.table} has not the key {', '.join(plan.key)} that the source gives, so rows are appended to it, "
        "also those that are there already; reset the stream to mend it"
    )


def choose(streams: Sequence[Stream], selection: Selection) -> list[Selected]:
    """Apply the user's choice to what the source offers, in the source's order."""
    if selection is None:
        return [Selected(stream) for stream in streams]
    known = {stream.name: stream for stream in streams}
    for name, choice in selection.items():
        if name not in known:
            raise SettingsError(
                f"there is no stream {name!r} in the source", hint=_closest(name, list(known), "streams")
            )
        _refuse_unknown_fields(known[name], choice)
    return [
        Selected(stream, choice.fields, choice.replication_method, choice.replication_key)
        for stream in streams
        if (choice := selection.get(stream.name)) is not None
    ]


def _refuse_unknown_fields(stream: Stream, choice: StreamChoice) -> None:
    fields = [field.name for field in stream.fields]
    for name in sorted(choice.fields or ()):
        if fields and name not in fields:
            raise SettingsError(
                f"there is no field {name!r} in stream {stream.name!r}", hint=_closest(name, fields, "fields")
            )


def _closest(name: str, known: list[str], what: str) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    some = ", ".join(known[:10]) + (" ..." if len(known) > 10 else "")
    return f"the {what} are: {some}" if known else f"the source has no {what} at all; see `lockstitch discover`"


def plan_stream(selected: Selected, destination: Destination, source: Source) -> StreamPlan:
    """Return the decisions for one stream; a table name that the destination refuses is a warning, its rows rejects."""
    rules = destination.rules
    table = canonical(selected.stream.name, rules.table_name)
    key = selected.stream.key if destination.capabilities.upsert else ()
    fault = table_fault(table, rules, selected.stream.name)
    warnings = (f"{selected.stream.name}: {fault}; all its rows will be rejected",) if fault else ()
    return StreamPlan(selected, table, key, source.new_fields, warnings)


def _refuse_shared_tables(plans: dict[str, StreamPlan], rules: Rules) -> None:
    """Two streams never mix in one table (`spec/loading.md` section 1)."""
    seen: dict[str, str] = {}
    for name, plan in plans.items():
        other = seen.setdefault(fold(plan.table, rules), name)
        if other != name:
            raise SettingsError(
                f"streams {other!r} and {name!r} would both be table {plan.table!r} in {rules.title}",
                hint="deselect one of them, or replicate it by a connection of its own",
            )
