"""Hand in hand with dlt: our sources for its pipelines, its sources for ours. Needs `lockstitch[dlt]`."""

from lockstitch.dlt.offered import source

__all__ = ["source"]
