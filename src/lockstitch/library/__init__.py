"""Lockstitch in a program or a notebook: what `import lockstitch` offers."""
