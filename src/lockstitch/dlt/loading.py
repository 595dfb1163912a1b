"""`lockstitch.dlt.load`: a source of ours into a destination of dlt's that we have no own one for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from lockstitch.core.model import Json
from lockstitch.dlt.errors import explained, require_dlt
from lockstitch.dlt.offered import source as offered_source
from lockstitch.toolkit.home import home_folder

if TYPE_CHECKING:
    from dlt.common.destination import Destination
    from dlt.common.pipeline import LoadInfo

    from lockstitch.library.pipeline import Streams
    from lockstitch.library.streams import OwnStream


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def load(  # noqa: PLR0913 - each is a setting, given by its name
    source: str | OwnStream | Sequence[OwnStream],
    destination: str | Destination[Any, Any],
    *,
    dataset: str,
    name: str | None = None,
    properties: Mapping[str, Json] | None = None,
    streams: Streams = "*",
    tell: Callable[[str], None] = _to_stderr,
) -> LoadInfo:
    """Load what is new of a source into a destination of dlt's, by dlt, and return what dlt says of it.

        lake = dlt.destinations.filesystem("file:///data/lake")
        lockstitch.dlt.load("platform.heap", lake, dataset="heap_data", properties={"bucket_url": "file:///data/heap"})

    Before anything is read, `tell` is told, line by line, what is not promised. `destination` is what
    `dlt.destinations` makes, or its name, such as "bigquery"; dlt looks for its credentials. `source`, `name`,
    `properties` and `streams` are those of `lockstitch.dlt.source`; `name` and `dataset` together name the progress.
    A load that failed half way is ended by the next call, which then reads nothing: call again.

    Raises LockstitchError.
    """
    require_dlt()
    import dlt
    from lockstitch.dlt.current import current_kept

    hint = "mend what dlt names, and call again: a load that failed half way goes on"
    with current_kept(), explained("loading by dlt", hint=hint):
        offer = offered_source(source, name=name, properties=properties, streams=streams)
        pipeline = dlt.pipeline(
            f"{offer.name}_to_{dataset}",
            destination=destination,
            dataset_name=dataset,
            pipelines_dir=str(home_folder() / "dlt"),
        )
        assert pipeline.destination is not None
        for line in _not_promised(pipeline.destination):
            tell(line)
        return pipeline.run(offer, loader_file_format=_file_format(pipeline.destination))


def _not_promised(destination: Destination[Any, Any]) -> Iterator[str]:
    """Yield what a load by dlt into this destination does not promise, and one of ours does."""
    title = destination.destination_name
    yield f"dlt loads into {title}; it does not promise what Lockstitch's own destinations do:"
    yield "- tables come one after the other, and one that is replaced can be seen half done"
    yield "- a load that fails half way is tried again, not undone; what the destination refuses fails the load"
    yield "- rows that are missing from a new version are removed, never marked; a source's inbox is not trimmed"
    yield "- tables, names and types are dlt's, not Stitch's layout: what is nested is JSON text, nothing is rejected"
    strategies = _merge_strategies(destination)
    if not strategies:
        yield f"- {title} cannot merge: of a stream with a key, each change of a row is added as another row"
    elif "delete-insert" not in strategies:
        yield f"- {title} merges by {strategies[0]} only: of two rows of one key in a load either may count"


def _merge_strategies(destination: Destination[Any, Any]) -> Sequence[str]:
    able = destination.capabilities()
    known = able.supported_merge_strategies or ()
    choose = cast("Callable[..., Sequence[str]] | None", able.merge_strategies_selector)
    return known if choose is None else choose(known, table_schema={})


def _file_format(destination: Destination[Any, Any]) -> Any:
    """Return Parquet where the destination takes it: what dlt prefers may be text, as for PostgreSQL."""
    formats: Sequence[str] = destination.capabilities().supported_loader_file_formats or ()
    return "parquet" if "parquet" in formats else None
