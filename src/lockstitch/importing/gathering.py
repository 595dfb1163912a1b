"""Gathers a request's records by table, in the order in which each table's came."""

from __future__ import annotations

from typing import Any

from lockstitch.toolkit.inbox.records import Records


class Gathering:
    """Records of many tables; one whose key or version changes on the way begins anew."""

    def __init__(self) -> None:
        self._done: list[Records] = []
        self._latest: dict[str, Records] = {}

    def add(self, table: str, key: tuple[str, ...], version: int | None, sequence: int, row: dict[str, Any]) -> None:
        latest = self._latest.get(table)
        if latest is None or latest.publish or latest.key != key or latest.version != version:
            latest = self._begin(Records(table, key, version))
        latest.sequences.append(sequence)
        latest.rows.append(row)

    def publish(self, table: str, key: tuple[str, ...] | None, version: int | None) -> None:
        """The version is complete; without one there is nothing to complete."""
        if version is None:
            return
        latest = self._latest.get(table)
        if latest is None or latest.publish or latest.version != version:
            latest = self._begin(Records(table, key, version))
        latest.publish = True

    def _begin(self, records: Records) -> Records:
        self._done.append(records)
        self._latest[records.table] = records
        return records

    def records(self) -> tuple[Records, ...]:
        return tuple(self._done)
