"""HTTP: the Connect API, the Import API and what is beside them, one module a resource. All rules are in `control`."""
