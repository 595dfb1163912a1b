"""Nested records of about 1 KB, as a CRM's API answers them: drawn once into JSON pages, with what must come of them.

A lead has objects, an array of texts, and arrays of objects with arrays in them: six tables.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.buckets import once
from bench.measure import processes

PAGE = 500
#: By table: what to sum up, in SQL that every destination understands, and the same of a record's part in Python.
SUMS: Mapping[str, Mapping[str, Any]] = {
    "leads": {
        "count(*)": lambda _: 1,
        "sum(length(name) + length(description))": lambda row: len(row["name"]) + len(row["description"]),
        "sum(score)": lambda row: row["score"],
        "sum(cast(round(value * 100) as bigint))": lambda row: round(row["value"] * 100),
        "sum(length(address__city))": lambda row: len(row["address"]["city"]),
    },
    "leads__contacts": {"count(*)": lambda _: 1, "sum(length(name))": lambda row: len(row["name"])},
    "leads__contacts__emails": {"count(*)": lambda _: 1, "sum(length(email))": lambda row: len(row["email"])},
    "leads__contacts__phones": {"count(*)": lambda _: 1, "sum(length(phone))": lambda row: len(row["phone"])},
    "leads__opportunities": {
        "count(*)": lambda _: 1,
        "sum(amount)": lambda row: row["amount"],
        "sum(confidence)": lambda row: row["confidence"],
    },
    "leads__tags": {"count(*)": lambda _: 1, "sum(length(value))": len},
}
Expected = dict[str, dict[str, int]]


def drawn(home: Path, records: int, *, changed: bool = False) -> tuple[Path, Expected]:
    """Return the folder of the pages, and the sums of each table. `changed`: the same ids with other values."""
    folder = home / f"leads-{records}{'-changed' if changed else ''}"
    with once(folder) as partial:
        if partial is not None:
            pages = -(-records // PAGE)
            with processes() as pool:
                tasks = [
                    pool.submit(_write_page, partial, number, min(PAGE, records - number * PAGE), changed=changed)
                    for number in range(pages)
                ]
                total = Counter[tuple[str, str]]()
                for task in tasks:
                    total.update(task.result())
            (partial / "expected.json").write_text(json.dumps([[*place, one] for place, one in total.items()]))
    expected: Expected = {table: {} for table in SUMS}
    for table, term, value in json.loads((folder / "expected.json").read_text()):
        expected[table][term] = value
    return folder, expected


def page_name(number: int) -> str:
    return f"{number:06d}.json"


def _write_page(folder: Path, number: int, records: int, *, changed: bool) -> Counter[tuple[str, str]]:
    draw = random.Random(f"{number} {changed}")
    leads = [_lead(draw, number * PAGE + place) for place in range(records)]
    (folder / page_name(number)).write_text(json.dumps(leads, separators=(",", ":")))
    sums = Counter[tuple[str, str]]()
    for lead in leads:
        for table, part in _parts(lead):
            sums.update({(table, term): count(part) for term, count in SUMS[table].items()})
    return sums


def _parts(lead: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return a record's rows by the table that each belongs to."""
    found: list[tuple[str, Any]] = [("leads", lead)]
    for contact in lead["contacts"]:
        found.append(("leads__contacts", contact))
        found += [("leads__contacts__emails", one) for one in contact["emails"]]
        found += [("leads__contacts__phones", one) for one in contact["phones"]]
    found += [("leads__opportunities", one) for one in lead["opportunities"]]
    return found + [("leads__tags", one) for one in lead["tags"]]


def _lead(draw: random.Random, number: int) -> dict[str, Any]:
    return {
        "id": f"lead_{number:012d}",
        "name": _text(draw, 18),
        "description": _text(draw, 340),
        "status_id": f"stat_{draw.randint(1, 9)}",
        "status_label": _text(draw, 9),
        "date_created": _time(draw),
        "date_updated": _time(draw),
        "url": f"https://{draw.randrange(10**9)}.example",
        "score": draw.randrange(1000),
        "value": draw.randrange(10**6) / 100,
        "is_active": draw.random() < 0.5,
        "address": {
            "city": _text(draw, 9),
            "zipcode": str(draw.randrange(10**4, 10**5)),
            "latitude": round(draw.uniform(-90, 90), 6),
        },
        "contacts": [_contact(draw, number, place) for place in range(draw.randint(0, 2))],
        "opportunities": [
            {
                "id": f"oppo_{number}_{place}",
                "amount": draw.randrange(10**6),
                "confidence": draw.randint(0, 100),
                "note": _text(draw, 30),
                "date_created": _time(draw),
            }
            for place in range(draw.randint(0, 1))
        ],
        "tags": [_text(draw, 5) for _ in range(draw.randint(0, 3))],
    }


def _contact(draw: random.Random, number: int, place: int) -> dict[str, Any]:
    return {
        "id": f"cont_{number}_{place}",
        "name": _text(draw, 12),
        "title": _text(draw, 9),
        "emails": [
            {"email": f"{draw.randrange(10**9)}@x.example", "type": "office"} for _ in range(draw.randint(0, 2))
        ],
        "phones": [{"phone": str(draw.randrange(10**9, 10**10)), "type": "mobile"} for _ in range(draw.randint(0, 1))],
    }


_LETTERS = "abcdefghijklmnopqrstuvwxyz      "


def _text(draw: random.Random, length: int) -> str:
    return "".join(draw.choices(_LETTERS, k=length))


def _time(draw: random.Random) -> str:
    day = f"2026-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
    return (
        f"{day}T{draw.randrange(24):02d}:{draw.randrange(60):02d}:{draw.randrange(60):02d}.{draw.randrange(10**6):06d}Z"
    )
