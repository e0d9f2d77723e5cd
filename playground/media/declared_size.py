"""The size that a video file declares: a shorter one was not saved or copied completely."""

from io import SEEK_END
from typing import BinaryIO

_MEDIA_BOXES = (b"mdat", b"moof", b"moov")
"""Boxes of ISO/IEC 14496-12 that hold frames, or say where they are."""
_MAX_BOXES = 100_000
"""Two for each fragment of a live recording: an hour has some ten thousand."""
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
"""The two elements of a Matroska file (RFC 9559): its header, and all the rest."""


def is_cut_off(file: BinaryIO, kind: str) -> bool:
    """True if a video file ends before the end that it declares; `kind` is a `FileType.id`.

    False where a format, or a live recording, does not declare any.
    """
    declared = {"mov": _boxes, "matroska": _matroska}.get(kind)
    size = file.seek(0, SEEK_END)
    return declared is not None and declared(file) > size


def _boxes(file: BinaryIO) -> int:
    """Where the last box ends that holds media; 0 if it goes on to the end of the file."""
    at = end = 0
    for _ in range(_MAX_BOXES):
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            break
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:
            break
        at += length
        if kind in _MEDIA_BOXES:
            end = at
    return end


def _matroska(file: BinaryIO) -> int:
    """Where the segment ends; 0 if its size is unknown, as in a live recording."""
    at = 0
    for name in (_EBML, _SEGMENT):
        file.seek(at)
        element = file.read(12)
        width = 9 - element[4].bit_length() if len(element) == 12 else 9  # of a number, in bytes
        if element[:4] != name or width > 8:
            return 0
        number = int.from_bytes(element[4 : 4 + width], "big") & ~(1 << 7 * width)
        if number == (1 << 7 * width) - 1:
            return 0
        at += 4 + width + number
    return at
