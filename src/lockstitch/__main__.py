"""`python -m lockstitch` is the command `lockstitch`."""

import sys

from lockstitch.cli import main

# A process that is started for a query reads this file, too, under another name.
if __name__ == "__main__":
    sys.exit(main())
