"""What goes wrong in dlt, told as our errors: who must act, and what mends it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from copy import copy

from lockstitch.core.errors import AccessError, LockstitchError, SettingsError, SourceDataError, TransientError

#: Names of errors of dlt's and of requests', which dlt's helpers raise -> ours, and what mends them.
_KNOWN: dict[str, tuple[type[LockstitchError], str]] = {
    "ConfigFieldMissingException": (SettingsError, "dlt looks for it in the environment and in .dlt/secrets.toml"),
    "SourceExhausted": (
        SettingsError,
        "a generator can be read once: give dlt.resource the function itself, or Lockstitch what makes the source",
    ),
    "ParametrizedResourceUnbound": (SettingsError, "call the resource with its arguments"),
    "DictValidationException": (SettingsError, "correct the configuration"),
    "ConnectionError": (TransientError, "the API cannot be reached; run again later"),
    "Timeout": (TransientError, "the API does not answer in time; run again later"),
}


def require_dlt() -> None:
    """Raise SettingsError where dlt is not installed."""
    from importlib.util import find_spec

    if find_spec("dlt") is None:
        raise SettingsError("dlt is not installed", hint="pip install 'lockstitch[dlt]'")


@contextmanager
def explained(what: str) -> Generator[None]:
    """Turn an error of dlt's, or of a function that dlt calls, into one of ours."""
    try:
        yield
    except LockstitchError:
        raise
    except Exception as error:
        raise _told(what, error) from error


def _told(what: str, error: Exception) -> LockstitchError:
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, LockstitchError):
            # A copy: the error itself lies among the causes of dlt's, and causes must not run in a circle.
            return copy(one)
    for one in chain:
        status = getattr(getattr(one, "response", None), "status_code", None)
        if isinstance(status, int):
            return _of_status(what, one, status)
        for kind in type(one).__mro__:
            if kind.__name__ in _KNOWN and kind.__module__ != "builtins":
                ours, hint = _KNOWN[kind.__name__]
                return ours(f"{what}: {one}", hint=hint)
    first = chain[-1]
    return SourceDataError(
        f"{what}: {type(first).__name__}: {first}", hint="mend the resource; nothing of this read has landed"
    )


def _of_status(what: str, error: BaseException, status: int) -> LockstitchError:
    if status in (401, 403):
        return AccessError(f"{what}: {error}", hint="correct its credentials, in dlt's configuration or arguments")
    if status == 429 or status >= 500:
        return TransientError(f"{what}: {error}", hint="the API is busy or failing; run again later")
    return SourceDataError(f"{what}: {error}", hint="look at what the resource asks of the API")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
