"""A fake of Close carried into a warehouse through the pipeline's verbs, and what is in the warehouse then."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from lockstitch import verbs
from lockstitch.core.model import Selection
from lockstitch.engine.run import RunResult
from lockstitch.sources.closeio.shapes import STREAMS
from lockstitch.verbs import PipelineSettings
from sources import warehouses
from sources.closeio.account import Account
from sources.reassembled import Record, expected, reassembled


@dataclass(frozen=True)
class Warehouse(warehouses.Warehouse):
    """A destination that Close is carried into; the connection is always the same."""

    schema: str = "close"

    def settings(self, account: Account, selection: Selection = None, **properties: Any) -> PipelineSettings:
        source = {"api_key": account.key, "start_date": "2026-04-20", "base_url": f"{account.url}/api/v1"}
        return PipelineSettings(
            connection="close",
            schema=self.schema,
            source_type="platform.closeio",
            source_properties={**source, **properties},
            destination_type=self.type,
            destination_properties=self.properties,
            selection=selection,
        )

    def carried(self, account: Account, selection: Selection = None, **properties: Any) -> RunResult:
        """Carry what is new, and return what the run says of it."""
        return verbs.run(self.settings(account, selection, **properties))

    def run(self, account: Account, selection: Selection = None, **properties: Any) -> RunResult:
        """Carry what is new; raise what went wrong."""
        result = self.carried(account, selection, **properties)
        for lane in result.lanes:
            if lane.error is not None:
                raise lane.error
            assert (lane.rejected, lane.adjusted) == (0, 0)
        return result


def truth(account: Account, stream: str) -> dict[str, Record]:
    """Return what tables should have of a stream, by id: the documented fields of all that Close has."""
    records = account.data.truth(cast("Any", stream))
    for record in records:
        if stream == "leads":
            record["custom_fields"].sort(key=lambda field: field["id"])
        if stream == "event_log":
            texts = {name: record.get(name) for name in ("data", "previous_data")}
            record.update({name: value if value is None else _Json(value) for name, value in texts.items()})
    return {record["id"]: expected(record, STREAMS[stream]) for record in records}


class _Json:
    """What a text should say as JSON, however it is written."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, text: object) -> bool:
        return isinstance(text, str) and json.loads(text) == self._value

    def __hash__(self) -> int:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"JSON of {self._value!r}"


def assert_whole(account: Account, warehouse: Warehouse) -> None:
    """Compare all rows of all tables with what Close has; what else there is must be marked as deleted."""
    tables = warehouse.tables()
    assert tables["_sdc_rejected"] == []
    for stream in STREAMS:
        found, deleted = reassembled(tables, stream)
        wanted = truth(account, stream)
        assert found.keys() == wanted.keys(), stream
        for name, record in wanted.items():
            assert found[name] == record, (stream, name)
        assert deleted <= account.data.deleted.get(cast("Any", stream), set()), stream
