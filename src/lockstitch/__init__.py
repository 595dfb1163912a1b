"""Lockstitch carries data from where it is made to where it is analysed, each row exactly once.

    import lockstitch

    run = lockstitch.pipeline("heap", source="platform.heap", properties={...}, dataset="heap_data").run()
    run.dataset().sessions.df()

Each name is imported when it is first used: a program that has nothing to carry pays for nothing.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lockstitch import dlt as dlt
    from lockstitch.core.errors import (
        AccessError,
        LockstitchError,
        SettingsError,
        SourceDataError,
        Superseded,
        TransientError,
    )
    from lockstitch.engine.limits import LoadLimits
    from lockstitch.library.dataset import Dataset, Rows
    from lockstitch.library.pipeline import Pipeline, load_pipeline, pipeline
    from lockstitch.library.result import Run
    from lockstitch.library.shown import Shown
    from lockstitch.library.streams import OwnStream, stream

__all__ = [
    "AccessError",
    "Dataset",
    "LoadLimits",
    "LockstitchError",
    "OwnStream",
    "Pipeline",
    "Rows",
    "Run",
    "SettingsError",
    "Shown",
    "SourceDataError",
    "Superseded",
    "TransientError",
    "load_pipeline",
    "pipeline",
    "stream",
]

#: Where the names are that are not errors.
_MODULES = {
    "Dataset": "library.dataset",
    "LoadLimits": "engine.limits",
    "OwnStream": "library.streams",
    "Pipeline": "library.pipeline",
    "Rows": "library.dataset",
    "Run": "library.result",
    "Shown": "library.shown",
    "load_pipeline": "library.pipeline",
    "pipeline": "library.pipeline",
    "stream": "library.streams",
}

if not TYPE_CHECKING:  # a checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name == "dlt":  # not in __all__: `from lockstitch import *` must not hide dlt itself
            return importlib.import_module("lockstitch.dlt")
        if name not in __all__:
            raise AttributeError(f"module 'lockstitch' has no attribute {name!r}")
        module = importlib.import_module(f"lockstitch.{_MODULES.get(name, 'core.errors')}")
        return globals().setdefault(name, getattr(module, name))


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
