"""A program's own streams: functions that yield rows, and what is said of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Json, Selected

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class OwnStream:
    """A function with its key and cursor: the source of a pipeline, alone or in a list. Calling it calls the function.

    `ordered` rows come with their cursors ascending. A stream without a cursor sends all its rows each time, and they
    replace those before, unless it is to `append`.
    """

    function: Function
    name: str
    key: tuple[str, ...] = ()
    cursor: str | None = None
    ordered: bool = False
    append: bool = False

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


@overload
def stream(function: Function, /) -> OwnStream: ...


@overload
def stream(
    *,
    key: str | Sequence[str] = (),
    cursor: str | None = None,
    ordered: bool = False,
    append: bool = False,
    name: str | None = None,
) -> Callable[[Function], OwnStream]: ...


def stream(
    function: Function | None = None,
    /,
    *,
    key: str | Sequence[str] = (),
    cursor: str | None = None,
    ordered: bool = False,
    append: bool = False,
    name: str | None = None,
) -> OwnStream | Callable[[Function], OwnStream]:
    """Make a stream of a function that yields, or returns, pages of rows.

        @lockstitch.stream(key="id", cursor="updated_at")
        def orders(since):
            for page in fetch("/orders", updated_since=since):
                yield page

        lockstitch.pipeline("shop", source=[orders]).run()

    A page is a dict, a list of dicts, JSON (bytes: an object, an array or lines), or anything in Arrow: a Table, a
    RecordBatch, a reader, a DataFrame.

    `key` names the field, or the fields, that tell rows apart: a row replaces the one of its key. Without one rows are
    added. `cursor` names a field that grows with each change. The function then takes one argument: None at first,
    later the largest value that has landed; rows from that value on, itself included, are to come, and what has landed
    before is left out. `ordered` promises that they come in the cursor's order: then a long read is committed piece by
    piece. Without a cursor the function takes no argument and gives all rows each time; they replace those before, or
    with `append` are added to them. `name` is the function's if left out.
    """

    def made(function: Function) -> OwnStream:
        names = (key,) if isinstance(key, str) or not isinstance(key, Sequence) else tuple(key)  # pyright: ignore[reportUnnecessaryIsInstance]
        one = OwnStream(function, name or getattr(function, "__name__", ""), names, cursor, ordered, append)
        _refuse_impossible(one)
        return one

    return made if function is None else made(function)


def _refuse_impossible(one: OwnStream) -> None:
    place = f"stream {one.name or '(without a name)'}"
    if not one.name or one.name == "<lambda>":
        raise SettingsError(f"{place}: the function has no name", hint='write @lockstitch.stream(name="...")')
    for field in (*one.key, *([] if one.cursor is None else [one.cursor])):
        if not isinstance(field, str) or not field:  # pyright: ignore[reportUnnecessaryIsInstance] - untyped programs
            raise SettingsError(
                f"{place}: {field!r} names no field", hint='name fields as in key="id", key=["id", "line"], cursor="at"'
            )
    if inspect.iscoroutinefunction(one.function) or inspect.isasyncgenfunction(one.function):
        raise SettingsError(
            f"{place}: the function is async, and nobody awaits it",
            hint="write a plain function, which may call asyncio.run",
        )
    if one.append and one.cursor is not None:
        raise SettingsError(
            f"{place}: append is for streams without a cursor",
            hint="leave append out: with a cursor and no key rows are added",
        )
    if one.ordered and one.cursor is None:
        raise SettingsError(f"{place}: ordered, and no cursor to be in the order of", hint="name the cursor's field")
    arguments = () if one.cursor is None else (None,)
    try:
        inspect.signature(one.function).bind(*arguments)
    except TypeError:
        wanted = "def {}(since): ..." if arguments else "def {}(): ..."
        why = f"cursor is {one.cursor!r}" if arguments else "there is no cursor"
        raise SettingsError(
            f"{place}: the function takes other arguments than it gets, as {why}", hint=wanted.format(one.name)
        ) from None


def refuse_other_method(wanted: Sequence[Selected], hint: str) -> None:
    """Raise SettingsError where a stream is chosen to be replicated in another way than its program says."""
    for one in wanted:
        way = one.stream.replication_method, one.stream.replication_key
        if (one.replication_method or way[0], one.replication_key or way[1]) != way:
            raise SettingsError(
                f"stream {one.stream.name} is chosen to be replicated in another way than it is written, which is "
                f"{way[0]}{f' by {way[1]}' if way[1] else ''}",
                hint=f"leave replication_method and replication_key out of the choice; {hint}",
            )


def strange_cursor(one: OwnStream, cursor: Json) -> SettingsError:
    """Return the error for a cursor that the stream, as it is now, never gave."""
    how = f"by {one.cursor}" if one.cursor else "without a cursor"
    return SettingsError(
        f"stream {one.name} is read {how}, and cannot go on after {cursor!r}",
        hint=f"it was read in another way before: pipeline.reset({one.name!r})",
    )
