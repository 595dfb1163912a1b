"""Hand in hand with dlt: our sources for its pipelines, its sources for ours. Needs `lockstitch[dlt]`."""

from lockstitch.dlt.configured import rest_api
from lockstitch.dlt.offered import source

__all__ = ["rest_api", "source"]
