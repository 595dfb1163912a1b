"""How tests make pipelines of dlt's, and see what they have loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dlt import Pipeline


class MakePipeline(Protocol):
    def __call__(self, name: str = "shop", destination: Any = "duckdb") -> Pipeline: ...


def landed(pipeline: Pipeline, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """Return a table's rows in these columns, sorted."""
    names = ", ".join(columns) or "*"
    with pipeline.sql_client() as client, client.execute_query(f"select {names} from {table} order by all") as cursor:
        return cursor.fetchall()
