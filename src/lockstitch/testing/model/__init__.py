"""What every table must hold, worked out row by row in plain Python, from `docs/layout.md` alone.

It shares no code with the layout and the engine, so that a disagreement finds a bug in one of them. It is slow and that
is fine: it reads one Arrow scalar at a time.
"""
