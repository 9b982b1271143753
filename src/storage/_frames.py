"""Frames: events in the bytes of a segment, and what is missing or damaged among them.

A frame stands under a checksum of its payload, its place, its segment and its journal, so that nothing stale is taken
for it. CRC-32, a tenth of the time of BLAKE2b for the size of an event: damage is no malice, any burst of up to 32
bits is found for sure, and with the marker one garbled frame in 2^64 passes. A frame also says how much of the segment
was known to be on disk when it was written: where less is good than a later frame says, something is damaged; else
the tail was torn by a crash, and nobody was told that it was safe.
"""

import struct
from zlib import crc32

HEADER = struct.Struct("<7sBQ16sI")  # magic, format, number of the segment, name of the journal, checksum
_FRAME = struct.Struct("<4sIIQ")  # marker, checksum, length of the payload, bytes of the segment on disk; the payload
_CHECKED = struct.Struct("<IQQ")  # length, bytes on disk, place
_MAGIC, _FORMAT = b"SEEDJNL", 1
_MARKER = b"\xc1SBF"  # no msgpack begins so


def header(number: int, name: bytes) -> bytes:
    """First bytes of a segment."""
    head = HEADER.pack(_MAGIC, _FORMAT, number, name, 0)[:-4]
    return head + crc32(head).to_bytes(4, "little")


def name_in(content: bytes, number: int) -> bytes:
    """Name of the journal that a segment belongs to.

    Raises
    ------
    ValueError
        For what is no header of the segment with that number, or one of a newer format.
    """
    magic, version, _, name, _ = HEADER.unpack_from(content)
    if magic == _MAGIC and version > _FORMAT:
        raise ValueError(f"its format {version} is newer than {_FORMAT}, the newest read here")
    if content[: HEADER.size] != header(number, name):
        raise ValueError("its header is damaged")
    return bytes(name)


def seed_of(content: bytes) -> int:
    """Where the checksums of a segment's frames start from: the header without its own, as with it all are equal."""
    return crc32(content[: HEADER.size - 4])


def frame(payload: bytes, seed: int, place: int, synced: int) -> bytes:
    """Bytes of an event at a place of a segment."""
    checksum = crc32(payload, crc32(_CHECKED.pack(len(payload), synced, place), seed))
    return _FRAME.pack(_MARKER, checksum, len(payload), synced) + payload


def _frame_at(content: bytes, seed: int, place: int) -> tuple[bytes, int] | None:
    """Payload of a frame, and the bytes that were on disk before it; None for no good frame."""
    start = place + _FRAME.size
    if start > len(content):
        return None
    _, _, length, synced = _FRAME.unpack_from(content, place)
    payload = content[start : start + length]
    return (payload, synced) if content[place : start + length] == frame(payload, seed, place, synced) else None


def scan(content: bytes, seed: int) -> tuple[list[bytes], int]:
    """Payloads up to the first frame that is not good, and its place, which is the end where all are."""
    payloads, place = [], HEADER.size
    while (found := _frame_at(content, seed, place)) is not None:
        payloads.append(found[0])
        place += _FRAME.size + len(found[0])
    return payloads, place


def was_on_disk(content: bytes, seed: int, place: int) -> bool:
    """Whether a later frame says that what should stand at a place had reached the disk."""
    later = place
    while (later := content.find(_MARKER, later + 1)) >= 0:
        found = _frame_at(content, seed, later)
        if found is not None and found[1] > place:
            return True
    return False
