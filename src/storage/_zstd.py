"""Compression of whole files by zstandard, which is an extra."""

from pathlib import Path
from typing import Any

from .._files import replace_file
from .errors import StoreError

_LEVEL = 3


def zstandard() -> Any:
    """The library.

    Raises
    ------
    ImportError
        Where it is not installed; with what to do.
    """
    try:
        import zstandard
    except ImportError:
        raise ImportError("compressed logs need an extra; install it with: pip install 'seedbed[zstd]'") from None
    return zstandard


def compress(source: Path, target: Path) -> None:
    """Write a file compressed, with a checksum, under its name at once; the source stays."""
    replace_file(target, zstandard().ZstdCompressor(level=_LEVEL, write_checksum=True).compress(source.read_bytes()))


def decompressed(path: Path) -> bytes:
    """Content of a compressed file.

    Raises
    ------
    StoreError
        For one that is damaged.
    OSError
        When it cannot be read.
    """
    packed = path.read_bytes()
    library = zstandard()
    try:
        content: bytes = library.ZstdDecompressor().decompress(packed)
    except library.ZstdError as error:
        raise StoreError(f"{path} is damaged: {error}; restore the file") from None
    return content
