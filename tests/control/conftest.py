"""Acme's connector, installed for the servers that a test starts."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

import acme


@pytest.fixture(scope="module")
def acme_site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """Put the connector on the path of every process that is started while the module's tests run."""
    site = acme.install(tmp_path_factory.mktemp("acme") / "site")
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        yield site
