"""Events out of the Data Export: bundle after bundle, each fetched whole before its first row is delivered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lockstitch.core.errors import SettingsError, SourceDataError
from lockstitch.core.model import Batch, Checkpoint, Message, Remaining
from lockstitch.sources.fullstory.api import PAGE, Apis, Bundle
from lockstitch.sources.fullstory.cursor import EventsCursor, Within, as_json, at_seconds

if TYPE_CHECKING:
    from lockstitch.sources.fullstory.delivery import Delivery
    from lockstitch.sources.fullstory.rows import EventRows

_log = logging.getLogger(__name__)

#: A large bundle is cut into loads: a checkpoint comes after so many bytes of its JSON.
CHECKPOINT_BYTES = 128 << 20


class BundleReader:
    """Reads an account's bundles from a cursor on; `folder` is for downloads, `rows` is called with the first one."""

    def __init__(self, apis: Apis, folder: Callable[[], Path], rows: Callable[[], EventRows]) -> None:
        self._apis = apis
        self._folder = folder
        self._rows = rows
        self._passed: set[int] = set()
        self._missed: set[int] = set()

    def read(self, cursor: EventsCursor, page: Sequence[Bundle]) -> Iterator[Message]:
        """Yield the events of all bundles that are there, with a checkpoint after each. `page` is the first list."""
        start = cursor.seconds
        self._find_begun(cursor, page)
        while page:
            waiting = [bundle for bundle in page if bundle.stop > start and bundle.id not in self._passed]
            look_again = False
            for at, bundle in enumerate(waiting):
                later = waiting[at + 1 :]
                cursor, look_again = yield from self._bundle(bundle, cursor, later)
                if look_again:
                    break
            if not look_again:
                if len(page) < PAGE:
                    return
                if page[-1].stop <= start:
                    raise SourceDataError(
                        f"FullStory's list of the bundles after {at_seconds(start)} is full and leads no further",
                        hint="this is FullStory's to mend: the same bundles would be asked for without end",
                    )
                start = page[-1].stop
            page = self._apis.list_bundles(start)

    def _find_begun(self, cursor: EventsCursor, page: Sequence[Bundle]) -> None:
        """Pass over what comes before the bundle that is delivered in part."""
        if cursor.sliced and page and page[0].start < cursor.seconds:
            raise SettingsError(
                f"events stands at {cursor.stop} by Segment Export, which is within bundle {page[0].id}",
                hint="set events_api = segment_export, or reset events to read it all by data_export",
            )
        if cursor.within is None:
            return
        ids = [bundle.id for bundle in page]
        if cursor.within.id in ids:
            self._passed.update(ids[: ids.index(cursor.within.id)])
        else:
            _log.warning(
                "events: bundle %s is gone after %s of its events; going on with the next",
                cursor.within.id,
                cursor.within.done,
            )

    def _bundle(
        self, bundle: Bundle, cursor: EventsCursor, later: Sequence[Bundle]
    ) -> Generator[Message, None, tuple[EventsCursor, bool]]:
        """Yield a bundle's rows; return the cursor that is reached, and whether the list may be another one now."""
        from lockstitch.sources.fullstory.delivery import Delivery

        begun = cursor.within if cursor.within is not None and cursor.within.id == bundle.id else None
        delivery = Delivery(f"bundle {bundle.id} ({at_seconds(bundle.start)} to {at_seconds(bundle.stop)})")
        if begun is not None:
            delivery.done, delivery.digest = begun.done, begun.digest
        path = self._folder() / f"{bundle.id}.json"
        is_there = yield from self._rows_of(
            delivery.read(lambda path: self._apis.fetch_bundle(bundle, path), path, self._rows(), self._apis.sleep),
            delivery,
            lambda: EventsCursor(cursor.stop, Within(bundle.id, delivery.done, delivery.digest)),
            Remaining(len(later) + 1, 0),
        )
        if not is_there:
            return cursor, self._miss(bundle, delivery)
        self._passed.add(bundle.id)
        if later and later[0].stop == bundle.stop:
            # The next one ends at the same moment: past this end it would never be listed again.
            cursor = EventsCursor(cursor.stop, Within(bundle.id, delivery.done, delivery.digest))
        else:
            cursor = EventsCursor(at_seconds(bundle.stop))
        yield Checkpoint(as_json(cursor), Remaining(len(later), 0))
        return cursor, False

    def _rows_of(
        self,
        batches: Generator[Batch, None, bool],
        delivery: Delivery,
        inside: Callable[[], EventsCursor],
        remaining: Remaining,
    ) -> Generator[Message, None, bool]:
        """Yield batches, and a checkpoint within the bundle whenever there are enough of them."""
        saved = 0
        while True:
            try:
                batch = next(batches)
            except StopIteration as ended:
                return bool(ended.value)
            yield batch
            if delivery.bytes - saved >= CHECKPOINT_BYTES:
                saved = delivery.bytes
                yield Checkpoint(as_json(inside()), remaining)

    def _miss(self, bundle: Bundle, delivery: Delivery) -> bool:
        """Note that a listed bundle is not there; return whether to look again, or to leave it out."""
        if bundle.id not in self._missed:
            self._missed.add(bundle.id)
            _log.warning("events: %s is listed and cannot be had; looking what is there now", delivery.name)
            return True
        self._passed.add(bundle.id)
        _log.warning("events: %s is left out: it is listed and cannot be had", delivery.name)
        return False
