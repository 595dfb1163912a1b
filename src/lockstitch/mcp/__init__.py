"""`lockstitch mcp`: what a coding assistant can do with pipeline files, by the Model Context Protocol (docs/mcp.md)."""
