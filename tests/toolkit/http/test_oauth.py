"""Tokens are shared by processes, renewed before their end and after a 401, and never lost or shown."""

from __future__ import annotations

import json
import logging
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from lockstitch.core.errors import AccessError, SourceDataError
from lockstitch.testing.vendors.faults import TRANSIENT, Failure
from lockstitch.testing.vendors.heap_api import HeapServer
from lockstitch.testing.vendors.messages import Reply, Request, json_reply
from lockstitch.testing.vendors.server import VendorServer
from lockstitch.toolkit.http.client import Api, Patience
from lockstitch.toolkit.http.oauth import Grant, Tokens

SHORT = Patience(tries=5, first=0.01, most=0.05, budget=3.0, unsaid=0.05)
FIRST = "refresh-token-of-the-settings"


class Rotating(VendorServer):
    """A vendor whose refresh tokens hold once: whoever uses an old one is refused."""

    def __init__(self) -> None:
        super().__init__()
        self.holds = FIRST
        self.life: float | None = 3600
        self.given: list[str] = []
        self.answers_without = False

    def answer(self, request: Request) -> Reply:
        if self.answers_without:
            return json_reply({"token": "secret"})
        asked = dict(parse_qsl(request.body.decode()))
        if request.path != "/token":
            good = request.headers.get("authorization") == f"Bearer {self.given[-1] if self.given else ''}"
            return json_reply({}, 200 if good else 401)
        if asked.get("refresh_token") != self.holds or asked.get("grant_type") != "refresh_token":
            return json_reply({"error": "invalid_grant"}, 400)
        self.holds = f"refresh-{len(self.given) + 1}"
        self.given.append(f"access-{len(self.given) + 1}")
        time.sleep(0.05)  # so that others come meanwhile
        life = {} if self.life is None else {"expires_in": self.life}
        return json_reply({"access_token": self.given[-1], "refresh_token": self.holds, **life})


@pytest.fixture
def vendor() -> Iterator[Rotating]:
    with Rotating() as server:
        yield server


def grant(server: VendorServer) -> Grant:
    return Grant(f"{server.url}/token", "client", "a-client-secret", FIRST)


def tokens(server: VendorServer, home: Path) -> Tokens:
    return Tokens(home, grant(server), patience=SHORT)


def test_a_token_is_asked_for_once_and_kept_for_other_processes(vendor: Rotating, tmp_path: Path) -> None:
    first, second = tokens(vendor, tmp_path), tokens(vendor, tmp_path)
    assert first.headers(False) == first.headers(False) == second.headers(False)
    assert first.headers(False) == {"Authorization": "Bearer access-1"}
    assert vendor.count("/token") == 1


def test_a_replaced_refresh_token_is_used_next(vendor: Rotating, tmp_path: Path) -> None:
    vendor.life = 0
    for number in (1, 2, 3):
        each = tokens(vendor, tmp_path)
        assert each.headers(False) == {"Authorization": f"Bearer access-{number}"}


def test_a_token_is_renewed_before_its_end(vendor: Rotating, tmp_path: Path) -> None:
    vendor.life = 0.5
    one = tokens(vendor, tmp_path)
    one.headers(False)
    [file] = [path for path in (tmp_path / "tokens").iterdir() if not path.suffix]
    assert json.loads(file.read_bytes())["ends"] < time.time() + 0.46
    time.sleep(0.47)
    assert one.headers(False) == {"Authorization": "Bearer access-2"}


def test_a_401_renews_once_and_not_where_another_process_has_done_so(vendor: Rotating, tmp_path: Path) -> None:
    vendor.life = None
    first, second = tokens(vendor, tmp_path), tokens(vendor, tmp_path)
    first.headers(False)
    second.headers(False)
    vendor.given[-1] = "revoked"
    assert first.headers(True) == {"Authorization": "Bearer access-2"}
    assert second.headers(True) == {"Authorization": "Bearer access-2"}
    assert vendor.count("/token") == 2
    api = Api(vendor.url, authorize=second.headers, can_renew=True, patience=SHORT)
    vendor.given[-1] = "revoked"
    assert api.get("/data").status == 200
    assert vendor.count("/token") == 3
    api.close()


_PROCESS = """
import sys
from pathlib import Path
from lockstitch.toolkit.http.oauth import Grant, Tokens
tokens = Tokens(Path(sys.argv[1]), Grant(sys.argv[2], "client", "a-client-secret", sys.argv[3]))
print("ready", flush=True)
for line in sys.stdin:
    print(tokens.headers(line == "renew\\n")["Authorization"], flush=True)
"""


def test_processes_never_refresh_at_once(vendor: Rotating, tmp_path: Path) -> None:
    """Each refresh uses up the token of the one before: two at once would lose the account."""
    command = [sys.executable, "-c", _PROCESS, str(tmp_path), f"{vendor.url}/token", FIRST]
    runs = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]

    def told(word: str) -> list[str]:
        for run in runs:
            assert run.stdin is not None
            run.stdin.write(f"{word}\n")
            run.stdin.flush()
        return [run.stdout.readline().strip() for run in runs if run.stdout is not None]

    assert [run.stdout.readline() for run in runs if run.stdout is not None] == ["ready\n"] * 3
    assert told("any") == ["Bearer access-1"] * 3
    for number in range(2, 6):
        assert told("renew") == [f"Bearer access-{number}"] * 3
    assert vendor.count("/token") == 5
    for run in runs:
        run.communicate(timeout=30)
        assert run.returncode == 0


def test_a_refused_refresh_token_says_what_mends_it_and_shows_nothing(
    vendor: Rotating, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    vendor.holds = "another"
    one = tokens(vendor, tmp_path)
    with pytest.raises(AccessError, match="gives no token \\(400\\): invalid_grant") as refused:
        one.headers(False)
    vendor.holds = FIRST
    one.headers(False)
    shown = f"{refused.value} {one!r} {grant(vendor)!r} {caplog.text}"
    assert not [secret for secret in (FIRST, "a-client-secret", "access-1", "refresh-1") if secret in shown]


def test_only_the_owner_can_read_what_is_kept(vendor: Rotating, tmp_path: Path) -> None:
    one = tokens(vendor, tmp_path)
    one.headers(False)
    folder = tmp_path / "tokens"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert {path.suffix for path in folder.iterdir()} == {"", ".lock"}


def test_an_answer_without_a_token_is_refused(vendor: Rotating, tmp_path: Path) -> None:
    one = Tokens(tmp_path, Grant(f"{vendor.url}/data", "client"), patience=SHORT)
    vendor.given.append("")
    vendor.answers_without = True
    with pytest.raises(SourceDataError, match="answers without a token"):
        one.headers(False)


@pytest.mark.parametrize("name", TRANSIENT)
def test_faults_that_pass_are_waited_out(name: str, tmp_path: Path) -> None:
    with HeapServer() as server:
        server.token_lifetime = timedelta(seconds=0)
        server.faults.add(TRANSIENT[name])
        one = Tokens(tmp_path, Grant(f"{server.url}/oauth/token", "client", "test-secret"), patience=SHORT)
        assert one.headers(False) != one.headers(False)
        assert server.faults.met


def test_a_failure_that_stays_is_told(tmp_path: Path) -> None:
    with HeapServer() as server:
        server.faults.add(Failure(status=403, times=None))
        one = Tokens(tmp_path, Grant(f"{server.url}/oauth/token", "client", "test-secret"), patience=SHORT)
        with pytest.raises(AccessError, match="gives no token"):
            one.headers(False)
