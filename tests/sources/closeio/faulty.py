"""What faults of the dial happen to: an account with several pages of everything, and changes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from lockstitch.testing.vendors.close import CloseServer
from lockstitch.testing.vendors.close_account import add_events, make_account
from lockstitch.testing.vendors.close_data import CloseData, Kind, parse_time, stamp
from lockstitch.testing.vendors.faults import TRANSIENT, Burst429, Fault
from sources.closeio.account import NOW

#: Where faults happen: in the first job at the second page.
PLACES = ("/v1/lead/", "/activity/", "/event/", "/task/", "/user/", "/custom_field/", "/data/search/")

FAULTS: dict[str, Fault] = {
    **TRANSIENT,
    **{f"429, {form}": Burst429(times=1, form=form) for form in CloseServer.limit_forms},
}


def several_pages() -> CloseData:
    """Return an account that has more than 15 leads and activities, and more than 4 of all else."""
    data = make_account(seed=5, leads=34, activities=48, tasks=10)
    for hours, activity in enumerate(list(data.activities.values())[:8]):
        activity["date_created"] = stamp(NOW - timedelta(hours=hours))
    add_events(data, 60)
    return data


def change(data: CloseData, round_number: int) -> None:
    """Update, add and delete some of everything, an hour later."""
    data.clock.advance(timedelta(hours=1))
    kinds: tuple[Kind, ...] = ("leads", "tasks", "activities")
    for kind in kinds:
        # Of activities, only the young ones are read again.
        young = parse_time("2026-06-15T00:00:00Z") if kind == "activities" else parse_time("2000-01-01T00:00:00Z")
        ids = [name for name, one in data.records(kind).items() if parse_time(one["date_created"]) >= young]
        first, second, like = ids[round_number], ids[-1 - round_number], data.records(kind)[ids[0]]
        data.update(kind, first, {"updated_by": f"user_{round_number}", "custom.cf_new": [round_number]})
        if kind == "leads":
            data.update(kind, first, {"contacts": [], "addresses": [{"city": "Ulm"}, {"city": None}]})
        data.delete(kind, second)
        undated = {name: value for name, value in like.items() if name not in {"date_created", "date_updated"}}
        data.add(kind, {**undated, "id": f"{first[:4]}_added_{round_number}"})
    data.update("users", next(iter(data.users)), {"last_name": f"changed {round_number}"})
    data.update("custom_fields", next(iter(data.custom_fields)), {"updated_by": f"user_{round_number}"})


def at(place: str, fault: Fault, *, after: int) -> Fault:
    """Let a fault happen at one list, after so many requests; a clock is wrong everywhere."""
    return fault if fault.times is None else replace(fault, on=place, after=after)
