"""`python -m lockstitch` is the command `lockstitch`."""

import sys

from lockstitch.cli import main

sys.exit(main())
