"""The description of the API as OpenAPI 3.1: data, written by hand, that the tests compare with every answer."""
