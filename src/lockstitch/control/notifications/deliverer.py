"""Sends what is due: a few threads in each process that works, safe beside those of other processes."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lockstitch.control.keyring import Keyring
from lockstitch.control.notifications import calls, deliveries, hooks, mails, notices
from lockstitch.control.notifications.attempts import Undelivered, Unwanted
from lockstitch.control.notifications.deliveries import Claim, Kind
from lockstitch.control.notifications.events import UNDELIVERABLE
from lockstitch.control.notifications.settings import Outgoing
from lockstitch.control.store.database import Store
from lockstitch.control.work import now
from lockstitch.core.errors import LockstitchError

log = logging.getLogger(__name__)

#: Deliveries under way at a time. To one hook there is one at a time, so that a slow one holds up its own calls only.
THREADS = 4
#: Seconds between looks at the outbox, which the threads take in turn.
PAUSE = 2.0
_CLEANING = timedelta(hours=1)


@dataclass(slots=True)
class Deliverer:
    """Offers `start` and `stop`; `turn` does once what is due by `clock`. `tls` and `seconds` are a hook call's."""

    store: Store
    keyring: Keyring
    outgoing: Outgoing
    clock: Callable[[], datetime] = now
    tls: ssl.SSLContext | None = None
    seconds: float = calls.TIMEOUT
    _leave: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])
    _claiming: threading.Lock = field(default_factory=threading.Lock)
    _busy: set[int] = field(default_factory=set[int])
    _clean_at: datetime | None = None

    def start(self) -> None:
        self._threads = [
            threading.Thread(target=self._work, args=(number * PAUSE,), name=f"deliverer-{number}", daemon=True)
            for number in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End once the attempts under way are over."""
        self._leave.set()
        for thread in self._threads:
            thread.join()

    def _work(self, after: float) -> None:
        self._leave.wait(after)
        while not self._leave.is_set():
            try:
                self.turn()
            except Exception:
                log.exception("a delivery failed in the server; the others go on")
            self._leave.wait(PAUSE * THREADS)

    def turn(self) -> int:
        """Attempt all that is due, and return how many attempts these were."""
        self._clean()
        count = 0
        while not self._leave.is_set() and (claimed := self._claim()) is not None:
            count += 1
            try:
                self._attempt(claimed)
            finally:
                self._free(claimed)
        return count

    def _claim(self) -> Claim | None:
        kinds: tuple[Kind, ...] = ("hook", "mail") if self.outgoing.smtp is not None else ("hook",)
        with self._claiming:
            claimed = deliveries.claim(self.store, kinds, self._busy, self.clock())
            if claimed is not None and claimed.hook_id is not None:
                self._busy.add(claimed.hook_id)
        return claimed

    def _free(self, claimed: Claim) -> None:
        if claimed.hook_id is not None:
            with self._claiming:
                self._busy.discard(claimed.hook_id)

    def _attempt(self, claimed: Claim) -> None:
        try:
            if deliveries.is_spent(claimed):
                raise Undelivered("the server ended during the last attempt")
            note = self._send(claimed)
        except Unwanted as reason:
            with self.store.begin() as db:
                deliveries.given_up(db, claimed, str(reason), self.clock())
        except (Undelivered, LockstitchError) as error:
            self._note_failed(claimed, str(error))
        except Exception as error:
            log.exception("delivery %d failed in the server", claimed.id)
            self._note_failed(claimed, f"an error of the server: {type(error).__name__}")
        else:
            self._note_delivered(claimed, note)

    def _send(self, claimed: Claim) -> str | None:
        """Send; what is sent is decided now, and no transaction is open meanwhile."""
        if claimed.kind == "hook":
            with self.store.read() as db:
                call = calls.prepare(db, self.keyring, self.outgoing, claimed)
            calls.send(call, self.outgoing, tls=self.tls, seconds=self.seconds)
            return None
        assert self.outgoing.smtp is not None
        with self.store.read() as db:
            letter = mails.prepare(db, self.outgoing, claimed)
        return mails.send(letter, self.outgoing.smtp)

    def _note_delivered(self, claimed: Claim, note: str | None) -> None:
        moment = self.clock()
        with self.store.begin() as db:
            deliveries.delivered(db, claimed, moment, note)
            if claimed.hook_id is not None:
                notices.resolve(db, claimed.account_id, UNDELIVERABLE, hooks.topic(claimed.hook_id), moment)

    def _note_failed(self, claimed: Claim, error: str) -> None:
        moment = self.clock()
        with self.store.begin() as db:
            if not deliveries.is_last(claimed):
                deliveries.failed(db, claimed, error, moment)
                return
            log.warning("delivery %d is given up: %s", claimed.id, error)
            if deliveries.given_up(db, claimed, error, moment) and claimed.hook_id is not None:
                subject = hooks.subject_of(db, claimed.hook_id)
                if subject is not None:
                    notices.raise_(db, self.store, UNDELIVERABLE, subject, error, moment)

    def _clean(self) -> None:
        moment = self.clock()
        with self._claiming:
            if self._clean_at is not None and moment < self._clean_at:
                return
            self._clean_at = moment + _CLEANING
        with self.store.begin() as db:
            deliveries.clean(db, moment)
