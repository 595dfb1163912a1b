"""A statement is asked in a process of its own, which can be ended: `python -m lockstitch.mcp.asking`.

No destination can be told to stop, and while a statement goes on, no run can have a DuckDB file.
"""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
from typing import Any

import anyio

from lockstitch.core.errors import LockstitchError, SettingsError
from lockstitch.library.dataset import Dataset
from lockstitch.mcp.answers import answer
from lockstitch.mcp.hiding import Secrets
from lockstitch.verbs import PipelineSettings

#: After so many seconds a statement is given up.
MOST_SECONDS = 60


async def asked(settings: PipelineSettings, sql: str, most_rows: int, secrets: Secrets) -> dict[str, Any]:
    """Return the answer to a statement, or `error` with a text without secrets. Cancelled, it ends the process.

    Raises SettingsError where it takes too long, LockstitchError where the process was ended by something else.
    """
    # By a pipe, where nobody else can read the credentials.
    request = pickle.dumps((settings, sql, most_rows, secrets, MOST_SECONDS))
    command = [sys.executable, "-m", "lockstitch.mcp.asking"]
    done = await anyio.run_process(command, input=request, stderr=subprocess.DEVNULL, check=False)
    if done.returncode == -signal.SIGALRM:
        raise SettingsError(
            f"the query was given up: it took more than {MOST_SECONDS} seconds",
            hint="ask for less, or filter before joining",
        )
    if done.returncode != 0:
        raise LockstitchError(
            f"the query's process ended with {done.returncode}",
            hint=f"{-signal.SIGKILL} is how the system ends one that needs more memory than there is: ask for less",
        )
    return json.loads(done.stdout)


def _ask() -> None:
    settings, sql, most_rows, secrets, seconds = pickle.load(sys.stdin.buffer)
    signal.alarm(seconds)  # nobody handles it: it ends the process, even where the server has gone
    try:
        told = answer(Dataset(settings).query(sql).batches(), most_rows, secrets)
    except Exception as error:
        told = {"error": secrets.error(error)}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    _ask()
