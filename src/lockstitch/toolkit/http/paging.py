"""Lists that an API gives page by page, by a token that each page tells or by an offset."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

from lockstitch.core.errors import SourceDataError

P = TypeVar("P")
R = TypeVar("R")
K = TypeVar("K", bound=Hashable)


def by_token(
    ask: Callable[[str | None], tuple[P, str | None]], token: str | None = None
) -> Iterator[tuple[P, str | None]]:
    """Yield each page with the token of the one after it, None with the last; `token` is where to begin.

    `ask` returns the page of a token, of None the first one, and the token that it tells. A page that tells its own
    token, or an empty one, is the last. Raises SourceDataError where tokens lead back to an earlier page.
    """
    # A token that has come is kept, a later one each time after twice as many pages: any circle leads to it.
    kept, pages, most = token, 0, 1
    while True:
        page, told = ask(token)
        following = told if told and told != token else None
        if following is not None and following == kept:
            raise SourceDataError(
                f"a list's pages lead in a circle: the page after {token!r} is {following!r} again",
                hint="this is the API's to mend: the same pages would be read without end",
            )
        yield page, following
        if following is None:
            return
        pages += 1
        if pages == most:
            kept, pages, most = following, 0, most * 2
        token = following


def by_offset(
    ask: Callable[[int], tuple[Sequence[R], bool]], tell: Callable[[R], K]
) -> Iterator[tuple[list[tuple[K, R]], bool]]:
    """Yield a list page by page, each state of a record once, and whether more pages come; however the list moves.

    `ask` returns the page from a place on, and whether there are more; `tell` what tells a record from others, and
    from its own other states. When records before a page are deleted, or move to the end because they are updated, all
    others move up, and the next page would begin too late. So pages overlap by a record, and where a page begins with
    an unknown one, reading goes back until it begins with one that it knows. (Pages of a single record cannot overlap.)
    """
    seen: set[K] = set()
    skip, back, overlaps = 0, 1, False
    while True:
        page, has_more = ask(skip)
        records = [(tell(record), record) for record in page]
        if skip and overlaps and (not records or records[0][0] not in seen):
            skip, back = max(skip - back, 0), back * 2
            continue
        back = 1
        fresh = [one for one in records if one[0] not in seen]
        seen.update(key for key, _ in fresh)
        more = bool(has_more and records)
        yield fresh, more
        if not more:
            return
        overlaps = len(records) > 1
        skip += len(records) - overlaps
