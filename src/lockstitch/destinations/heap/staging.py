"""A load's objects while they wait to be sent: in a temporary database on the disk that ends with the load."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator

from lockstitch.core.loads import Reject
from lockstitch.destinations.heap.objects import Object
from lockstitch.destinations.heap.sends import Call

#: How many objects are read at once.
_READ = 1_000

_TABLES = """
create table rows (number integer primary key, step integer not null, name text not null, record text not null);
create table objects (
    number integer primary key, call text not null, place text not null, whose text not null, body text not null,
    unique (call, place));
create table behind (object integer not null, row integer not null, primary key (object, row)) without rowid;
create table refused (row integer not null, reason text not null);
"""


class Staging:
    """Rows, and the objects that speak for them."""

    def __init__(self) -> None:
        # SQLite makes the file where it will, for its owner alone, and removes its name at once.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(f"pragma synchronous = off; {_TABLES} begin")
        self._rows = 0

    def add(self, step: int, table: str, record: str) -> int:
        """Keep a row; return its number."""
        self._rows += 1
        self._db.execute("insert into rows values (?, ?, ?, ?)", [self._rows, step, table, record])
        return self._rows

    def speak(self, row: int, one: Object) -> bool:
        """Keep an object for a row; tell whether it counts.

        Of two about the same event or user id the first counts, as with Heap; what is said of one identity is put
        together, the later value of a property over the earlier.
        """
        found = self._db.execute(
            "select number, body from objects where call = ? and place = ?", [one.call, one.place]
        ).fetchone()
        if found is None:
            added = self._db.execute(
                "insert into objects (call, place, whose, body) values (?, ?, ?, ?)",
                [one.call, one.place, one.whose, json.dumps(one.body)],
            )
            number = added.lastrowid
        elif one.call == "add_user_properties":
            number, body = found[0], json.loads(found[1])
            body["properties"] |= one.body["properties"]
            self._db.execute("update objects set body = ? where number = ?", [json.dumps(body), number])
        else:
            return False
        self._db.execute("insert or ignore into behind values (?, ?)", [number, row])
        return True

    def refuse(self, row: int, reason: str) -> None:
        """Note why a row is not sent."""
        self._db.execute("insert into refused values (?, ?)", [row, reason])

    def refuse_object(self, one: Object, reason: str) -> None:
        """Note why Heap has not taken an object, for all rows that it speaks for."""
        self._db.execute(
            "insert into refused select row, ? from behind join objects on number = object "
            "where call = ? and place = ?",
            [reason, one.call, one.place],
        )

    def objects(self, call: Call, most_of_one: int) -> Iterator[list[Object]]:
        """Yield a call's objects in lots, such that all who have many take turns by `most_of_one`."""
        turn = "(row_number() over (partition by whose order by number) - 1) / ?"
        cursor = self._db.execute(
            f"select place, whose, body from (select *, {turn} as turn from objects where call = ?) "
            "order by turn, number",
            [most_of_one, call],
        )
        while found := cursor.fetchmany(_READ):
            yield [Object(call, place, whose, json.loads(body)) for place, whose, body in found]

    def identities_with_more_than(self, user_ids: int) -> list[tuple[str, int]]:
        """Return the identities that would be given more user ids than so many, with the number of theirs."""
        return self._db.execute(
            "select whose, count(*) from objects where call = 'identify' group by whose having count(*) > ?", [user_ids]
        ).fetchall()

    def refused_rows(self) -> Counter[int]:
        """Return how many rows of each step were refused."""
        counted = self._db.execute(
            "select step, count(distinct number) from refused join rows on number = row group by step"
        )
        return Counter(dict(counted.fetchall()))

    def rejects(self) -> Iterable[Reject]:
        """Yield the refused rows with their reasons."""
        found = self._db.execute(
            "select name, reason, record from refused join rows on number = row order by number, refused.rowid"
        )
        return (Reject(*each) for each in found)

    def close(self) -> None:
        self._db.close()
