"""What lists cost: at most 50 ms for 95 of 100 requests, with 1,000 sources and 100,000 past runs.

The processor's time is measured, of server and client together: nobody waits for anything else here, and what other
processes take of the machine meanwhile is not the list's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from bench.crowd import add_sources
from tests.api.calling import Account, serving

pytestmark = pytest.mark.long

SOURCES, RUNS_EACH = 1000, 100
ALLOWED = 0.050


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with serving(tmp_path_factory.mktemp("crowded") / "home") as served:
        for account in (served.account(), served.account()):  # the second one is what is not to be read
            with served.server.write() as db:
                add_sources(db, account.id, SOURCES, RUNS_EACH)
        yield account


@pytest.mark.parametrize("path", ["/v4/sources", "/v4/{}/extractions", "/v4/{}/extractions?page=10", "/v4/{}/loads"])
def test_a_list_is_answered_within_the_time_allowed(crowded: Account, path: str):
    address = path.format(crowded.id)
    assert len(crowded.ask("GET", address).content) > 10_000
    late = _late(crowded, address)
    print(f"{path}: 95 of 100 requests within {late * 1000:.1f} ms")
    assert late <= ALLOWED, f"{path} took {late * 1000:.0f} ms"


def _late(account: Account, address: str) -> float:
    """Return the seconds within which 95 of 100 requests were answered."""
    taken: list[float] = []
    for _ in range(100):
        start = time.process_time()
        answer = account.ask("GET", address)
        taken.append(time.process_time() - start)
        assert answer.status_code == 200
    return sorted(taken)[94]
