"""How much an upload may hold. Everything here is checked before memory or disk is spent on it.

The numbers are generous for evaluations (a million rows, a hundred thousand images) and small
enough that a hostile file cannot fill the machine.
"""

from __future__ import annotations

MAX_UNPACKED_BYTES = 16 * 2**30
"""All members of one archive, unpacked."""

MAX_RATIO = 200
"""Unpacked bytes for one packed byte, once the archive unpacks to more than RATIO_FLOOR_BYTES."""

RATIO_FLOOR_BYTES = 100 * 2**20
"""Below this an archive may be as empty as it likes: a mask of zeros is not an attack."""

MAX_MEMBERS = 1_000_000
"""Files in one archive or folder."""

MAX_ROWS = 100_000_000
"""Rows of one table. Run-length encoding lets a small file declare any number of them."""

MAX_EMPTY = 1_000_000
"""Rows of an array that holds no bytes at all."""

MAX_COLUMNS = 4096
"""Columns of one table; embeddings belong in one list column, not in thousands of number columns."""

MAX_ARRAYS = 16_384
"""Arrays of one upload that are files or tensors of their own: each is looked at before any is read."""

MAX_FAULTS = 200
"""Faults listed for one upload. More of them say nothing new."""

MAX_TABLE_BYTES = 2 * 2**30
"""One CSV file, or one table inside an archive: these are read into memory."""

MAX_PIXELS = 50_000_000
"""Width times height of one image, read from its header before anything is decoded."""

MAX_IMAGE_BYTES = 256 * 2**20
"""One image file."""

THUMBNAIL_PIXELS = 112
"""Longer side of a thumbnail."""

MAX_NAME_LENGTH = 200
"""Characters in the name of a column, population, variant or field."""

MAX_VALUE_LENGTH = 1_000
"""Characters of an id, a label or the name of a class: they stand in links, legends and the log."""

MAX_NAMED_FAULTS = 20
"""Faults of one kind that are listed one by one (image files at fault, for example)."""

BLOCK_BYTES = 16 * 2**20
"""Bytes read, checked, copied or hashed at a time."""
