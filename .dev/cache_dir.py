"""Print the folder for numba's cache, keyed by all sources: numba itself sees changes in a kernel's own file only."""

import hashlib
import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def cache_dir() -> Path:
    """Return the folder of today's sources; folders of other sources are removed once there are many."""
    digest = hashlib.sha256(os.environ.get("NUMBA_BOUNDSCHECK", "").encode())
    for source in sorted((ROOT / "src").rglob("*.py")):
        digest.update(source.relative_to(ROOT).as_posix().encode() + source.read_bytes())
    folder = ROOT / ".cache" / "numba" / digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    others = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in others[8:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


if __name__ == "__main__":
    print(cache_dir())
