"""Lockstitch carries data from where it is made to where it is analysed, each row exactly once.

`lockstitch.pipeline` is the library's face, `lockstitch.cli` the command line. Nothing is imported here: a run with
nothing new to carry must not pay for more than it uses.
"""

__version__ = "0.1.0"
