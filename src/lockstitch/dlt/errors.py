"""What goes wrong in dlt, told as our errors: who must act, and what mends it."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from copy import copy

from lockstitch.core.errors import AccessError, LockstitchError, SettingsError, SourceDataError, TransientError

#: Errors of dlt's that say where another one happened, and no more.
_WRAPPERS = ("PipelineStepFailed", "ResourceExtractionError", "NormalizeJobFailed", "LoadClientJobException")

#: Names of errors of dlt's and of requests', which dlt's helpers raise -> ours, and what mends them.
_KNOWN: dict[str, tuple[type[LockstitchError], str]] = {
    "ConfigFieldMissingException": (SettingsError, "dlt looks for it in the environment and in .dlt/secrets.toml"),
    "SourceExhausted": (
        SettingsError,
        "a generator can be read once: give dlt.resource the function itself, or Lockstitch what makes the source",
    ),
    "ParametrizedResourceUnbound": (SettingsError, "call the resource with its arguments"),
    "DictValidationException": (SettingsError, "correct the configuration"),
    "MissingDependencyException": (SettingsError, "install what it names"),
    "UnknownDestinationModule": (SettingsError, "name a destination of dlt's, or give what dlt.destinations makes"),
    "DestinationTransientException": (TransientError, "the destination is busy, or lets nobody in; call again later"),
    "DestinationTerminalException": (AccessError, "mend what the destination refuses, and call again"),
    "ConnectionError": (TransientError, "the API cannot be reached; run again later"),
    "Timeout": (TransientError, "the API does not answer in time; run again later"),
}


def require_dlt() -> None:
    """Raise SettingsError where dlt is not installed."""
    from importlib.util import find_spec

    if find_spec("dlt") is None:
        raise SettingsError("dlt is not installed", hint="pip install 'lockstitch[dlt]'")


@contextmanager
def explained(what: str, *, hint: str = "mend the resource; nothing of this read has landed") -> Generator[None]:
    """Turn an error of dlt's, or of a function that dlt calls, into one of ours; `hint` is for what is not known."""
    try:
        yield
    except LockstitchError:
        raise
    except Exception as error:
        raise _told(what, hint, error) from error


def _told(what: str, hint: str, error: Exception) -> LockstitchError:
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, LockstitchError):
            # A copy: the error itself lies among the causes of dlt's, and causes must not run in a circle.
            return copy(one)
    real = [one for one in chain if not _wraps(one)] or chain
    resources = [str(vars(one)["pipe_name"]) for one in chain if _is(one, "ResourceExtractionError")]
    what = ", resource ".join([what, *resources[:1]])
    for one in (*real, *chain):
        status = getattr(getattr(one, "response", None), "status_code", None)
        if isinstance(status, int):
            return _of_status(what, one, status)
        for name, (ours, known) in _KNOWN.items():
            if _is(one, name):
                return ours(f"{what}: {_text(real[0] if _wraps(one) else one)}", hint=known)
    return SourceDataError(f"{what}: {type(real[0]).__name__}: {_text(real[0])}", hint=hint)


def _wraps(error: BaseException) -> bool:
    return any(_is(error, name) for name in _WRAPPERS)


def _is(error: BaseException, name: str) -> bool:
    """Tell whether an error is of a class of this name, other than Python's own."""
    return any(kind.__name__ == name and kind.__module__ != "builtins" for kind in type(error).__mro__)


def _text(error: BaseException) -> str:
    """Return an error's text without the values in URLs' queries: a key of an API may be among them."""
    return re.sub(r"([?&][^=&\s]+=)[^&\s'\")]+", r"\1***", str(error))


def _of_status(what: str, error: BaseException, status: int) -> LockstitchError:
    if status in (401, 403):
        return AccessError(
            f"{what}: {_text(error)}", hint="correct its credentials, in dlt's configuration or arguments"
        )
    if status == 429 or status >= 500:
        return TransientError(f"{what}: {_text(error)}", hint="the API is busy or failing; run again later")
    return SourceDataError(f"{what}: {_text(error)}", hint="look at what the resource asks of the API")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those it was raised for: not what was only being handled when it was raised."""
    while error is not None:
        yield error
        error = error.__cause__ or (error.__context__ if _wraps(error) else None)
