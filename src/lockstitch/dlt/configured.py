"""`lockstitch.dlt.rest_api`: an HTTP API by dlt's configuration dictionary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from lockstitch.connectors import hide
from lockstitch.core.errors import SettingsError
from lockstitch.dlt.errors import require_dlt

if TYPE_CHECKING:
    from dlt.extract import DltSource


def rest_api(config: Mapping[str, Any], *, name: str = "rest_api") -> DltSource:
    """Return the source of a configuration dictionary of dlt's `rest_api`, for a pipeline of ours or of dlt's.

        github = lockstitch.dlt.rest_api({
            "client": {"base_url": "https://api.github.com/repos/dlt-hub/dlt/"},
            "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
            "resources": ["issues"],
        })
        lockstitch.pipeline("github", source=github).run()

    Nothing is asked of the API yet. Raises SettingsError for what dlt finds wrong in the dictionary.
    """
    require_dlt()
    from dlt.sources.rest_api import rest_api_source

    try:
        return rest_api_source(cast("Any", config), name=name)
    except Exception as error:
        raise SettingsError(
            f"the rest_api configuration {name}: {hide(str(error), frozenset(_secrets(config)))}",
            hint="correct the dictionary; dlt's documentation describes it",
        ) from None


#: What dlt's dictionaries say openly of how a request is signed.
_OPEN = ("type", "name", "location", "access_token_url")


def _secrets(config: object) -> Iterator[str]:
    """Yield the texts that may be secrets: dlt shows a wrong dictionary as it is."""
    client: Any = config.get("client") if isinstance(config, dict) else None
    for part in ("auth", "headers"):
        values: Any = client.get(part) if isinstance(client, dict) else None
        for name, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, str) and len(value) > 3 and name not in _OPEN:
                yield value
