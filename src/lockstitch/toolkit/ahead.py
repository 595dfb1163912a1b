"""Reads ahead: the next pieces of work run in threads while the first is being consumed, in bounded memory."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lockstitch.core.errors import SourceDataError

S = TypeVar("S")
T = TypeVar("T")

#: Seconds that a thread which nobody needs any more is given for the item that it works on.
LEAVE = 10.0


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """One piece of work. `begin` may take its time (a download); each item it then yields must come within a limit."""

    name: str
    begin: Callable[[], Iterator[T]]


def in_order(
    works: Iterable[Work[T]],
    *,
    weight: Callable[[T], int],
    at_once: int = 2,
    most_weight: int = 48 << 20,
    patience: float = 120.0,
) -> Generator[Iterator[T]]:
    """Yield an iterator of items for each work, in order, while up to `at_once` works run in threads.

    Each holds at most `most_weight` of items that nobody has taken, or one larger item: enough for a whole data file of
    a dump, so that two are decoded at once. An error is raised where its
    item would have come. A work that takes more than `patience` seconds for one item is given up with
    SourceDataError: the decoder loops for ever on some damaged blocks.

    Closing it waits until the threads have ended, but for no more than `LEAVE` seconds.
    """
    ahead: deque[_Running[T]] = deque()
    pending = iter(works)
    try:
        while True:
            for work in itertools.islice(pending, at_once - len(ahead)):
                ahead.append(_Running(work, weight, most_weight, patience))
            if not ahead:
                return
            yield iter(ahead[0])
            ahead.popleft().stop()
    finally:
        for running in ahead:
            running.stop()
        for running in ahead:
            running.join()


def made_ahead(items: Iterable[S], make: Callable[[S], T], *, waiting: int = 2) -> Generator[T]:
    """Yield `make` of each item, in order; it runs in one thread while the caller's takes the next items.

    So what waits for a network and what computes go on side by side. At most `waiting` results are ahead. An error of
    the items is raised after the results before it, one of `make` where its result would have come.
    """
    failure: Exception | None = None
    ahead: deque[Future[T]] = deque()
    taken = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="made ahead") as pool:
        try:
            while failure is None:
                try:
                    item = next(taken)
                except StopIteration:
                    break
                except Exception as error:
                    failure = error
                    break
                ahead.append(pool.submit(make, item))
                if len(ahead) > waiting:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(taken, Generator):
                taken.close()
    if failure is not None:
        raise failure


@dataclass(eq=False)
class _Running(Generic[T]):
    """A work in its thread, and the items it has yielded that nobody took yet."""

    work: Work[T]
    weight: Callable[[T], int]
    most_weight: int
    patience: float
    _items: deque[tuple[T, int]] = field(default_factory=deque)
    _held: int = 0
    _busy_since: float | None = None
    _ended: bool = False
    _stopped: bool = False
    _error: BaseException | None = None

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        # A daemon, because a decoder that loops for ever must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"read {self.work.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        items: Iterator[T] = iter(())
        try:
            items = self.work.begin()
            while not self._stopped:
                self._busy_since = time.monotonic()
                item = next(items, None)
                self._busy_since = None
                if item is None:
                    break
                self._put(item)
        except BaseException as error:
            self._error = error
        if isinstance(items, Generator):
            items.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, item: T) -> None:
        weight = self.weight(item)
        with self._changed:
            while self._items and self._held + weight > self.most_weight and not self._stopped:
                self._changed.wait()
            self._items.append((item, weight))
            self._held += weight
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                while not self._items and not self._ended:
                    self._changed.wait(timeout=min(1.0, self.patience))
                    self._look_for_a_stall()
                if not self._items:
                    break
                item, weight = self._items.popleft()
                self._held -= weight
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error
        if self._stopped:
            raise RuntimeError(f"{self.work.name} was given up before all its items were taken")

    def _look_for_a_stall(self) -> None:
        since = self._busy_since
        if not self._items and since is not None and time.monotonic() - since > self.patience:
            raise SourceDataError(
                f"{self.work.name} cannot be decoded: no row came for {self.patience:g} seconds",
                hint="the file is damaged; put a whole copy in its place, or have its writer deliver the table anew",
            )

    def stop(self) -> None:
        """Let the thread end as soon as it can."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the thread: one that comes out of a decoder while Python ends would abort the process."""
        self._thread.join(min(LEAVE, self.patience))
