"""Our side of the works with nested records: a program of a user's, with a stream of its own that asks for JSON pages.

`python -m bench.nested_run ADDRESS DESTINATION PROPERTIES` with the properties as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import lockstitch
from bench.sides import SCHEMA
from lockstitch.toolkit.http.client import Api


def main(address: str, destination: str, properties: str) -> None:
    @lockstitch.stream(key="id", append=True)
    def leads() -> Iterator[bytes]:
        api = Api(address)
        number = 0
        while (page := api.get(f"/{number}", accept=frozenset({404}))).status == 200:
            yield page.body
            number += 1
        api.close()

    pipeline = lockstitch.pipeline(
        SCHEMA, source=[leads], destination=destination, destination_properties=json.loads(properties)
    )
    print(pipeline.run(progress="none"))


if __name__ == "__main__":
    main(*sys.argv[1:])
