"""The control store: what accounts, connections, selections and runs there are. SQLite by default, or PostgreSQL."""
