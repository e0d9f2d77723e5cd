"""Removal of metadata and further frames from the file of a picture.

Text, colour profiles, cameras' notes and comments can be crafted so that a decoder takes minutes
or all memory for them. Here they are cut out before decoding, by stepping from part to part of a
file without unpacking anything.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ORIENTATION = 0x0112
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value of each type of TIFF."""
_TIFF_KEPT = {
    *(254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 332, 338),
    *(339, 532),
}
"""Tags of TIFF 6.0 (and its technical notes) that are needed to decode a picture."""
_TIFF_TILES = frozenset((322, 323, 324, 325))
_TIFF_SHORT = frozenset((259, 262))
"""Compression and kind of colours: one number of two bytes each."""
_TIFF_UNUSUAL = {(259, 6), (259, 7), (262, 6)}
"""JPEG inside a TIFF, and YCbCr: a tag and its value."""
_MAX_TIFF_TAG_BYTES = 2_000_000
"""Bytes of tags: enough for half a million strips, far more than any picture has."""
_MAX_JPEG_SCANS = 100
"""A progressive photo comes in about ten scans. Each is a pass over the whole picture."""
_MAX_PARTS = 100_000
"""Chunks of a PNG, segments of a JPEG: of 8 kB each as usual, that would be 800 MB."""
_PNG_KEPT = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
_APNG_KEPT = _PNG_KEPT | {b"acTL", b"fcTL", b"fdAT"}
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_JPEG_END = b"\xff\xd9"
_JPEG_DECODED = frozenset((0xC0, 0xC1, 0xC2, 0xC9, 0xCA))
"""Markers of frames that are decoded: sequential and progressive, in either coding.

Lossless and hierarchical ones (ITU-T T.81, table B.1) are not, nor JPEG-LS: no browser shows them.
"""
_JPEG_LS = 0xF7
_JPEG_RESTARTS = tuple(bytes((0xFF, marker)) for marker in range(0xD0, 0xD8))
_JPEG_PROBE = (b"\x55" * 64).join((b"", *_JPEG_RESTARTS, b""))
"""Bits that are data for a decoder that needs more, also where it waits for a restart marker."""
_PADDING = 16
"""Zeros at the end of a JPEG from which on they are no data: the rest of a broken-off copy."""
_WEBP_ANIMATION, _WEBP_ALPHA = 0x02, 0x10
"""Flags of the chunk `VP8X`."""


class DamagedFileError(ValueError):
    """A file that is damaged, or crafted to be expensive to decode."""


class UnsupportedFileError(ValueError):
    """A file of a kind that is not decoded here."""


@dataclass(frozen=True, slots=True)
class StrippedFile:
    """A picture's file without metadata."""

    data: bytes
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 too if only the decoder knows it."""
    frames: int = 1
    """Number of its frames; 2 or more may only mean "several"."""
    ends_early: bool = False
    """True if the file ends without the mark that its format has for the end."""
    probe: bytes = b""
    """Of a JPEG that ends early: the same with other bits behind its data.

    Its pixels are those of `data` if and only if none are missing: a decoder makes up what is
    missing from what it finds there.
    """


def strip_metadata(kind: str, data: bytes) -> StrippedFile:
    """The file of a picture without its metadata; `kind` is a `FileType.id`.

    Colour profiles go as well: they are not applied, as the models' own preprocessing does not
    apply them. Of a `png` the first frame stays, of an `apng` all. Raises `DamagedFileError` and
    `UnsupportedFileError`.
    """
    try:
        return _STRIPPERS[kind](data) if kind in _STRIPPERS else StrippedFile(data)
    except (IndexError, struct.error) as error:
        raise DamagedFileError("the file breaks off") from error


def exif_orientation(exif: bytes) -> int:
    """The orientation in EXIF data, 1 (upright) to 8; 1 if there is none."""
    try:
        tiff = exif.removeprefix(b"Exif\0\0")
        for tag, kind, _, at in tiff_entries(tiff):
            if tag == ORIENTATION and kind == 3:
                (value,) = struct.unpack_from(_order(tiff) + "H", tiff, at)
                return value if 1 <= value <= 8 else 1
    except (DamagedFileError, struct.error):
        pass  # unreadable EXIF data count as none
    return 1


def _order(tiff: bytes) -> str:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        raise DamagedFileError("not a TIFF")
    return order


def tiff_entries(tiff: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Tag, type, count and the place of the value of each entry of the first directory."""
    order = _order(tiff)
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, start)
    for at in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", tiff, at)
        yield tag, kind, count, at + 8


def _tiff(data: bytes) -> StrippedFile:
    order = _order(data)
    (start,) = struct.unpack_from(order + "I", data, 4)
    if start < 8:
        raise DamagedFileError("its directory is in its header")
    all_entries = list(tiff_entries(data))
    kept = [entry for entry in all_entries if entry[0] in _TIFF_KEPT]
    if sum(_SIZES.get(kind, 1) * count for _, kind, count, _ in kept) > _MAX_TIFF_TAG_BYTES:
        raise DamagedFileError("its directory is larger than any picture needs")
    # Pillow before 13 reads beyond its buffers there (GHSA-462x-pgg6-55fp, GHSA-c6hw-5grf-ff96),
    # or returns memory that is not the picture's (GHSA-q45j-58j2-45rg).
    for tag, kind, count, at in all_entries:
        (value,) = struct.unpack_from(order + "H", data, at)
        # Read as another type, or from another place, the value would be another one.
        plain = tag not in _TIFF_SHORT or (kind == 3 and count == 1)
        if tag in _TIFF_TILES or (tag, value) in _TIFF_UNUSUAL or not plain:
            raise UnsupportedFileError("a kind of TIFF")
    after = start + 2 + 12 * len(all_entries)
    (next_page,) = struct.unpack_from(order + "I", data.ljust(after + 4, b"\0"), after)
    directory = struct.pack(order + "H", len(kept))
    directory += b"".join(data[at - 8 : at + 4] for *_, at in kept) + bytes(4)
    bare = b"".join((data[:start], directory, data[start + len(directory) :]))
    return StrippedFile(bare, exif_orientation(data), 2 if next_page else 1)


def _png(data: bytes, kinds: frozenset[bytes] = _PNG_KEPT) -> StrippedFile:
    kept, turned, frames, ended, at = [data[:8]], 1, 1, False, 8
    for _ in range(_MAX_PARTS):
        if at + 8 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in kinds:
            kept.append(data[at : at + 12 + length])
        if kind == b"eXIf":
            turned = exif_orientation(data[at + 8 : at + 8 + length])
        elif kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, at + 8)
        if kind == b"IEND":
            ended = True
            break
        at += 12 + length
    else:
        raise DamagedFileError("it has more parts than any picture")
    return StrippedFile(b"".join(kept), turned, frames, not ended)


def _apng(data: bytes) -> StrippedFile:
    return _png(data, _APNG_KEPT)


def _jpeg(data: bytes) -> StrippedFile:
    kept, turned, ended, at = [data[:2]], 1, False, 2
    frame, scans = b"", list[bytes]()
    for _ in range(_MAX_PARTS):
        found = _JPEG_MARKER.search(data, at)
        if found is None:
            break
        marker, at = data[found.end() - 1], found.end()
        if marker == 0xD9:
            ended = True
            break
        end = at + max(2, int.from_bytes(data[at : at + 2], "big"))
        if marker == 0xDA:
            scans.append(data[at:end])
            following = _JPEG_MARKER.search(data, end)
            end = following.start() if following else len(data)
        segment, at = data[at:end], end
        if marker == 0xE1 and segment[2:8] == b"Exif\0\0":
            turned = exif_orientation(segment[2:])
        # JFIF and Adobe say how colours are written; the other notes are for people.
        elif marker in (0xE0, 0xEE) or not 0xE0 <= marker <= 0xFE:
            kept.append(bytes((0xFF, marker)) + segment)
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == _JPEG_LS:
            if frame:
                raise DamagedFileError("it has two sizes")  # one checked, the other decoded
            frame = segment
            if marker not in _JPEG_DECODED or segment[2] != 8:  # bits of a colour
                raise UnsupportedFileError("a kind of JPEG")
        if len(scans) > _MAX_JPEG_SCANS:
            raise DamagedFileError("it has more scans than any photo")
    else:
        raise DamagedFileError("it has more parts than any picture")
    if ended:
        return StrippedFile(b"".join((*kept, _JPEG_END)), turned)
    if _misses_scans(frame, scans):
        raise DamagedFileError("it breaks off between two scans")
    kept[-1] = kept[-1][: _end_of_data(kept[-1])]
    whole, probe = (b"".join((*kept, rest, _JPEG_END)) for rest in (b"", _JPEG_PROBE))
    return StrippedFile(whole, turned, ends_early=True, probe=probe)


def _misses_scans(frame: bytes, scans: list[bytes]) -> bool:
    """True if the scans of a JPEG do not make up a picture; after ITU-T T.81, B.2.2 and B.2.3.

    Each of the 64 coefficients of each component must have come, down to its last bit.
    """
    missing = {frame[8 + 3 * number]: {*range(64)} for number in range(frame[7])}
    for scan in scans:
        count = scan[2]
        first, last, bits = struct.unpack_from("BBB", scan, 3 + 2 * count)
        if bits & 15 == 0:
            for component in scan[3 : 3 + 2 * count : 2]:
                missing.get(component, set()).difference_update(range(first, last + 1))
    return any(missing.values())


def _end_of_data(segment: bytes) -> int:
    """Where the data of the last segment of a JPEG end, without padding and markers behind them."""
    end = len(segment.rstrip(b"\0"))
    if len(segment) - end < _PADDING:
        end = len(segment)
    while segment.endswith((b"\xff", *_JPEG_RESTARTS), 0, end):
        end -= 1
    return end


def _gif(data: bytes) -> StrippedFile:
    """The first frame with its colours and transparency."""

    def palette(flags: int) -> int:
        return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0

    def blocks(at: int) -> int:
        while at < len(data) and data[at]:  # may break off: a decoder reports what it misses
            at += 1 + data[at]
        return at + 1

    at = 13 + palette(data[10])
    header, control, frame = data[:at], b"", b""
    while at < len(data) and data[at] in b"\x21\x2c":
        start = at
        if data[at] == 0x21:
            at = blocks(at + 2)
            if data[start + 1 : start + 2] == b"\xf9" and not frame:
                control = data[start:at]
        elif frame:
            return StrippedFile(header + control + frame + b";", frames=2)
        else:
            at = blocks(at + 11 + palette(data[at + 9]))
            frame = data[start:at]
    return StrippedFile(header + control + frame + b";", ends_early=data[at : at + 1] != b";")


def _webp(data: bytes) -> StrippedFile:
    """Of a file that ends early, the chunks that are whole: metadata follow the picture."""
    ends_early = 8 + int.from_bytes(data[4:8], "little") > len(data)
    end = 12
    while ends_early and end + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, end + 4)
        if end + 8 + length > len(data):
            break
        end += 8 + length + length % 2
    if ends_early:
        size = (end - 8).to_bytes(4, "little")
        data = b"".join((data[:4], size, data[8:end].ljust(end - 8, b"\0")))
    # An animation is drawn on nothing: its canvas is transparent, whatever its header says.
    if data[12:16] == b"VP8X" and data[20] & _WEBP_ANIMATION:
        data = b"".join((data[:20], bytes((data[20] | _WEBP_ALPHA,)), data[21:]))
    return StrippedFile(data, ends_early=ends_early)


def _boxes(data: bytes) -> StrippedFile:
    """HEIF and AVIF: their orientation is a property of the picture, not in EXIF."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
        if kind == b"meta":
            end = at + length if length else len(data)
            items = data[at:end].replace(b"Exif", b"skip").replace(b"mime", b"skip")
            return StrippedFile(b"".join((data[:at], items, data[at + len(items) :])))
        at += max(8, length or len(data))
    return StrippedFile(data)


_STRIPPERS: dict[str, Callable[[bytes], StrippedFile]] = {
    "png": _png,
    "apng": _apng,
    "jpeg": _jpeg,
    "gif": _gif,
    "webp": _webp,
    "tiff": _tiff,
    "avif": _boxes,
    "heif": _boxes,
}
