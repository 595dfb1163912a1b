"""What Prometheus is told: what this process has counted, and, read at each scrape, how the store stands.

Values of the store are those of all processes together. Nothing in them names an account or a connection.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prometheus_client import Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import checks, deliveries, inbox_state, runs, workers
from lockstitch.core.errors import SettingsError

__all__ = ["CONTENT_TYPE_LATEST", "ENVIRONMENT", "allowed_networks", "exposition", "is_allowed", "requests", "turns"]

#: Who may read them: networks, separated by commas.
ENVIRONMENT = "LOCKSTITCH_METRICS_FROM"
_OWN_MACHINE = "127.0.0.0/8,::1"
#: Runs are told of so far back: longer than any usual time between two scrapes.
_LATELY = timedelta(hours=1)
#: Workers that are silent for so long are not counted; they tell of themselves every ten seconds.
_SILENCE = timedelta(minutes=1)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_counted = CollectorRegistry()
ProcessCollector(registry=_counted)
PlatformCollector(registry=_counted)
GCCollector(registry=_counted)
requests = Counter(
    "lockstitch_http_requests", "Requests answered by this process.", ["method", "route", "status"], registry=_counted
)
turns = Histogram(
    "lockstitch_dispatcher_turn_seconds",
    "How long the clock of this process took to do what was due.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=_counted,
)


def allowed_networks() -> tuple[Network, ...]:
    """Read from the environment who may see metrics: this machine alone where it does not say. Raises SettingsError."""
    try:
        texts = os.environ.get(ENVIRONMENT, _OWN_MACHINE).split(",")
        return tuple(ipaddress.ip_network(text.strip()) for text in texts if text.strip())
    except ValueError as error:
        raise SettingsError(f"{ENVIRONMENT}: {error}", hint="give networks such as 10.0.0.0/8, or nothing") from None


def is_allowed(networks: Iterable[Network], host: str | None) -> bool:
    """Tell whether a client at this address may see metrics. One that has none came by a socket of this machine."""
    if host is None:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in networks)


def exposition(store: Store, home: Path, now: datetime) -> bytes:
    """Return all metrics in Prometheus' text format."""
    stored = CollectorRegistry()
    stored.register(_Stored(store, home, now))
    return generate_latest(_counted) + generate_latest(stored)


@dataclass(frozen=True, slots=True)
class _Stored(Collector):
    """How the store and the home folder stand."""

    store: Store
    home: Path
    now: datetime

    def describe(self) -> Iterable[Metric]:
        return ()  # else the store would be read once more

    def collect(self) -> Iterator[Metric]:
        with self.store.read() as db:
            yield from self._runs_of_late(db)
            for name, (text, query) in self._counts().items():
                yield GaugeMetricFamily(name, text, value=db.execute(query).scalar_one())
            held = self._inbox_bytes(db)
        yield GaugeMetricFamily("lockstitch_inbox_bytes", "Pushed records that wait to be loaded.", value=held)

    def _inbox_bytes(self, db: sa.Connection) -> int:
        if self.store.is_shared:
            return int(db.execute(sa.select(sa.func.coalesce(sa.func.sum(inbox_state.c.bytes), 0))).scalar_one())
        return sum(_size(path) for path in (self.home / "inbox").rglob("*"))

    def _runs_of_late(self, db: sa.Connection) -> Iterator[Metric]:
        ended = GaugeMetricFamily("lockstitch_runs_last_hour", "Runs that ended, by verdict.", labels=["verdict"])
        rows = GaugeMetricFamily("lockstitch_rows_last_hour", "Rows that runs have read which ended.")
        columns = (runs.c.verdict, runs.c.tap_exit_status, runs.c.target_exit_status)
        query = sa.select(*columns, sa.func.count().label("runs"), sa.func.sum(runs.c.rows).label("rows"))
        total, counts = 0, dict.fromkeys(_VERDICTS, 0)
        for row in db.execute(query.where(runs.c.completion_time > self.now - _LATELY).group_by(*columns)):
            counts[_verdict(row)] += row.runs
            total += row.rows
        for verdict, count in counts.items():
            ended.add_metric([verdict], count)
        rows.add_metric([], total)
        return iter((ended, rows))

    def _counts(self) -> dict[str, tuple[str, sa.Select[int]]]:
        count = sa.select(sa.func.count())
        open_runs = count.where(runs.c.active_source_id.is_not(None))
        return {
            "lockstitch_runs_active": (
                "Runs that a worker carries out.",
                open_runs.where(runs.c.start_time.is_not(None)),
            ),
            "lockstitch_runs_queued": ("Runs that wait for a worker.", open_runs.where(runs.c.start_time.is_(None))),
            "lockstitch_checks_open": ("Checks that have not ended.", count.where(checks.c.completion_time.is_(None))),
            "lockstitch_deliveries_open": (
                "E-mails and hook calls that are still to be sent.",
                count.select_from(deliveries).where(deliveries.c.due_at.is_not(None)),
            ),
            "lockstitch_workers_alive": (
                "Processes that carry out runs.",
                count.where(workers.c.heartbeat_at > self.now - _SILENCE),
            ),
        }


_VERDICTS: tuple[str, ...] = ("succeeded", "user", "data", "retry", "bug", "terminated")


def _verdict(row: sa.Row[*tuple[Any, ...]]) -> str:
    verdict, tap, target = row[:3]
    if verdict is not None:
        return verdict if verdict in _VERDICTS else "bug"
    if tap is None and target is None:
        return "terminated"
    return "succeeded" if tap == target == 0 else "user"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # loaded meanwhile
        return 0
