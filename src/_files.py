"""Files that are whole on disk before anyone sees their names."""

import os
from pathlib import Path


def write_file(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file and force it to disk."""
    with open(path, "wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file in one step, so that no reader ever sees half of it."""
    part = path.with_name(path.name + ".part")
    write_file(part, data)
    part.replace(path)


def sync_folders(*paths: Path) -> None:
    """Force the names in folders to disk."""
    if os.name == "nt":  # where folders cannot be opened, and the file system writes names in order
        return
    for path in paths:
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
