"""One application for all fast tests of the API; each test has an account of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.api.calling import Account, Served, serving


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("api") / "home") as served:
        yield served


@pytest.fixture
def account(served: Served) -> Account:
    return served.account()


@pytest.fixture
def other(served: Served) -> Account:
    """Somebody else."""
    return served.account()
