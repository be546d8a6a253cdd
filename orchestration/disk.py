"""What the disk may say, and files that hold personal data: made for their owner alone."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Other words of the same two faults: those of DuckDB, of SQLite, and of the system's calls.
FULL = ("No space left on device", "Disk quota exceeded", "File too large", "disk is full", "disk I/O error")
READ_ONLY = ("Read-only file system", "readonly database")
DENIED = "Permission denied"


def disk_fault(error: BaseException, *written: Path) -> str | None:
    """Return what the disk refused, as words for a sentence; None where the error, or what caused it, is another.

    A right that is missing counts for the paths in `written` only: a file that cannot be read is another fault.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        number = cause.errno if isinstance(cause, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or any(words in str(cause) for words in FULL):
            return "the disk is full"
        is_denied = DENIED in str(cause) and any(str(path) in str(cause) for path in written)
        if is_denied or number == errno.EROFS or any(words in str(cause) for words in READ_ONLY):
            return "the folder cannot be written"
        cause = cause.__cause__ or cause.__context__
    return None


@contextmanager
def for_the_owner_alone() -> Iterator[None]:
    """Whatever this process makes while the block runs is readable to its user alone: files 0600, folders 0700."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def make_private_folder(folder: Path) -> None:
    """Make a folder for the owner alone; one that is there is closed to others."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        folder.chmod(0o700)
