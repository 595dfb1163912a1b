"""The command line. Light to import: what a command needs is imported in its body."""

from lockstitch.cli.app import main

__all__ = ["main"]
