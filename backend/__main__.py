"""``python -m backend``: everything the pages can do, without a browser."""

import sys

from backend.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
