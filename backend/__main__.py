"""``python -m backend``: everything the pages can do, without a browser."""

import os
import sys

# Arrow's own allocator asks for a GiB ahead, which would count as memory that reading a file takes.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

from backend.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
