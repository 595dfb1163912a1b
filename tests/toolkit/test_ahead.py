"""Reading ahead: in order, in bounded memory, errors where they belong, threads that end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from lockstitch.core.errors import SourceDataError
from lockstitch.toolkit.ahead import Work, in_order, made_ahead


def weigh(item: int) -> int:
    return item


def consume(*works: Work[int], patience: float = 10) -> Iterator[int]:
    for items in in_order(works, weight=weigh, patience=patience):
        yield from items


def numbers(count: int, taken: list[int] | None = None) -> Iterator[int]:
    for number in range(1, count + 1):
        if taken is not None:
            taken.append(number)
        yield number


def test_items_come_in_the_order_of_the_works() -> None:
    works = [Work(str(count), lambda count=count: numbers(count)) for count in (3, 0, 5, 1)]
    assert [list(items) for items in in_order(works, weight=weigh)] == [[1, 2, 3], [], [1, 2, 3, 4, 5], [1]]


def test_only_so_many_works_run_at_once_and_hold_so_much() -> None:
    taken: list[list[int]] = [[], [], []]
    works = [Work(str(number), lambda number=number: numbers(100, taken[number])) for number in range(3)]
    running = in_order(works, weight=lambda _: 1, at_once=2, most_weight=10)
    first = iter(next(running))
    next(first)
    deadline = time.monotonic() + 10
    while len(taken[1]) < 11 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(taken[0]) <= 13
    assert len(taken[1]) == 11
    assert taken[2] == []
    running.close()


def test_an_item_heavier_than_all_that_may_wait_still_passes() -> None:
    assert [list(items) for items in in_order([Work("x", lambda: iter([500, 600]))], weight=weigh, most_weight=10)] == [
        [500, 600]
    ]


def test_an_error_comes_where_its_item_would_have() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise ValueError("two")

    consuming = consume(Work("a", lambda: numbers(2)), Work("b", fails))
    assert [next(consuming), next(consuming), next(consuming)] == [1, 2, 1]
    with pytest.raises(ValueError, match="two"):
        next(consuming)


def test_an_error_at_the_beginning_of_a_work_is_raised() -> None:
    def begin() -> Iterator[int]:
        raise ValueError("not there")

    with pytest.raises(ValueError, match="not there"):
        list(consume(Work("a", begin)))


def test_a_work_that_stands_still_is_given_up() -> None:
    release = threading.Event()

    def stands_still() -> Iterator[int]:
        yield 1
        release.wait(30)

    with pytest.raises(SourceDataError, match=r"bucket/x cannot be decoded: no row came for 0\.2 seconds"):
        list(consume(Work("bucket/x", stands_still), patience=0.2))
    release.set()


def test_a_slow_beginning_is_no_stall() -> None:
    def begin() -> Iterator[int]:
        time.sleep(0.5)
        return iter([1])

    assert list(consume(Work("x", begin), patience=0.1)) == [1]


def test_a_slow_consumer_is_no_stall() -> None:
    running = in_order([Work("x", lambda: numbers(20))], weight=weigh, most_weight=1, patience=0.1)
    items = next(running)
    next(items)
    time.sleep(0.4)
    assert len(list(items)) == 19


def test_items_of_a_reading_that_was_closed_do_not_look_complete() -> None:
    running = in_order([Work("x", lambda: numbers(20))], weight=weigh)
    items = next(running)
    next(items)
    running.close()
    with pytest.raises(RuntimeError, match="given up"):
        list(items)


def test_threads_and_their_resources_end_with_the_consumer() -> None:
    closed = threading.Event()

    def forever() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    running = in_order([Work("forever", forever)], weight=weigh, most_weight=3)
    next(next(running))
    running.close()
    assert closed.is_set()


def test_closing_waits_for_the_item_that_is_being_made() -> None:
    """A thread that left a decoder after Python's end would abort the process."""
    threads: list[threading.Thread] = []

    def slow() -> Iterator[int]:
        threads.append(threading.current_thread())
        yield 1
        time.sleep(0.3)
        yield 2

    running = in_order([Work("x", slow), Work("y", slow)], weight=weigh)
    next(next(running))
    running.close()
    assert [thread.is_alive() for thread in threads] == [False, False]


# --- made ahead -------------------------------------------------------------------------------------------------------


def test_results_come_in_order_and_are_made_while_the_next_items_are_taken():
    taken: list[int] = []
    threads: set[int] = set()

    def items() -> Iterator[int]:
        for number in range(6):
            taken.append(number)
            yield number

    def make(number: int) -> int:
        threads.add(threading.get_ident())
        return number * 10

    results = made_ahead(items(), make)
    assert next(results) == 0
    assert taken == [0, 1, 2]
    assert list(results) == [10, 20, 30, 40, 50]
    assert threading.get_ident() not in threads
    assert len(threads) == 1


def test_an_error_of_the_items_comes_after_the_results_before_it():
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    results = made_ahead(items(), str)
    assert next(results) == "1"
    with pytest.raises(ValueError, match="no more"):
        next(results)


def test_an_error_of_a_result_comes_in_its_place_and_the_items_are_closed():
    closed: list[bool] = []

    def items() -> Iterator[int]:
        try:
            yield from (1, 0, 2, 3, 4)
        finally:
            closed.append(True)

    results = made_ahead(items(), lambda number: 1 // number)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert closed == [True]


def test_who_stops_taking_closes_the_items():
    closed: list[bool] = []

    def items() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    results = made_ahead(items(), str)
    next(results)
    results.close()
    assert closed == [True]
