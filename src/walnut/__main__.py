"""`python -m walnut` is the command `walnut`."""

import sys

from walnut.cli import main

sys.exit(main())
