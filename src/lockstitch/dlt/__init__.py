"""Hand in hand with dlt: our sources for its pipelines, its sources for ours. Needs `lockstitch[dlt]`."""

from lockstitch.dlt.configured import rest_api
from lockstitch.dlt.loading import load
from lockstitch.dlt.offered import source

__all__ = ["load", "rest_api", "source"]
