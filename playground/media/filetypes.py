"""Detection of the type of a file from its first bytes, never from its name."""

import re
from dataclasses import dataclass
from typing import Literal

HEAD_BYTES = 4096
"""Bytes from the start of a file that are enough to detect its type."""


@dataclass(frozen=True, slots=True)
class FileType:
    """A type of file, with its names for programs and for people."""

    id: str
    """`png`; for a video, the name of FFmpeg's demuxer, such as `mov`."""
    title: str
    """With its article, to stand in a sentence: `a PNG picture`."""
    family: Literal["picture", "video", "other"]


PICTURES = "PNG, JPEG, WebP, AVIF, HEIC, GIF, BMP or TIFF"
VIDEOS = "MP4, MOV, WebM, MKV, AVI, MPEG, OGV or an animated GIF"


def _picture(id: str, title: str) -> FileType:
    return FileType(id, f"a {title} picture", "picture")


def _video(id: str, title: str = "a video") -> FileType:
    return FileType(id, title, "video")


def _other(id: str, title: str) -> FileType:
    return FileType(id, title, "other")


EMPTY = _other("empty", "an empty file")
TEXT = _other("text", "a text file")
UNKNOWN = _other("unknown", "a file of a kind that is not known here")
AVIF = FileType("avif", "an AVIF picture", "picture")
HEIF = _picture("heif", "HEIC")
GIF = _picture("gif", "GIF")

# The first match counts: offset, magic bytes, type.
_MAGIC: tuple[tuple[int, bytes, FileType], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", _picture("png", "PNG")),
    (0, b"\xff\xd8\xff", _picture("jpeg", "JPEG")),
    (0, b"GIF87a", GIF),
    (0, b"GIF89a", GIF),
    (0, b"II*\0", _picture("tiff", "TIFF")),
    (0, b"MM\0*", _picture("tiff", "TIFF")),
    (0, b"\x1aE\xdf\xa3", _video("matroska")),
    (0, b"OggS", _video("ogg", "an Ogg file")),
    (0, b"\x00\x00\x01\xba", _video("mpeg")),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _other("asf", "a Windows Media file")),
    (0, b"FLV\x01", _other("flv", "a Flash video")),
    (0, b"%PDF-", _other("pdf", "a PDF document")),
    (0, b"PK\x03\x04", _other("zip", "a ZIP archive or an Office document")),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _other("ole", "an old Office document")),
    (0, b"Rar!", _other("rar", "a RAR archive")),
    (0, b"7z\xbc\xaf\x27\x1c", _other("7z", "a 7-Zip archive")),
    (0, b"\x1f\x8b", _other("gzip", "a gzip archive")),
    (0, b"MZ", _other("exe", "a program")),
    (0, b"\x7fELF", _other("elf", "a program")),
    (0, b"\xcf\xfa\xed\xfe", _other("macho", "a program")),
    (0, b"8BPS", _other("psd", "a Photoshop document")),
    (0, b"%!PS", _other("ps", "a PostScript document")),
    (0, b"\x00\x00\x01\x00", _other("ico", "an icon")),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", _other("jpeg2000", "a JPEG 2000 picture")),
    (0, b"\xff\x4f\xff\x51", _other("jpeg2000", "a JPEG 2000 picture")),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", _other("jxl", "a JPEG XL picture")),
    (0, b"\xff\x0a", _other("jxl", "a JPEG XL picture")),
    (0, b"ID3", _other("mp3", "a sound file")),
    (0, b"\xff\xfb", _other("mp3", "a sound file")),
    (0, b"\xff\xf3", _other("mp3", "a sound file")),
    (0, b"fLaC", _other("flac", "a sound file")),
    (0, b"MThd", _other("midi", "a sound file")),
    (0, b"BM", _picture("bmp", "BMP")),
)
_RIFF = {
    b"WEBP": _picture("webp", "WebP"),
    b"AVI ": _video("avi"),
    b"WAVE": _other("wav", "a sound file"),
}
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), AVIF),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), HEIF),
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P "), _other("m4a", "a sound file")),
    b"crx ": _other("raw", "a raw photo of a camera"),
}
"""First brand of a file of boxes (ISO/IEC 14496-12); any other is a video."""
_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""First boxes of QuickTime files without a brand."""
_TRANSPORT = ((0, 188), (4, 192))
"""MPEG transport streams: where the first sync byte 0x47 is, and how far it is to the next."""

_TEXTS = (
    (b"<svg", _other("svg", "an SVG drawing")),
    (b"<!doctype html", _other("html", "a web page")),
    (b"<html", _other("html", "a web page")),
    (b"#extm3u", _other("playlist", "a playlist, which only names other files")),
    (b"ffconcat", _other("playlist", "a playlist, which only names other files")),
)
_UNPRINTABLE = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def detect_type(head: bytes) -> FileType:
    """The type of a file; `head` are its first `HEAD_BYTES` bytes, or all if it has fewer."""
    if not head:
        return EMPTY
    for at, magic, found in _MAGIC:
        if head.startswith(magic, at):
            return found
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], UNKNOWN)
    if head[4:8] == b"ftyp":
        return _boxes(head)
    if head[4:8] in _BOXES:
        return _video("mov")
    for first, step in _TRANSPORT:
        if head[first::step][:4] == b"GGGG":
            return _video("mpegts")
    return _text(head)


def _boxes(head: bytes) -> FileType:
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))]
    if brands[0] in (b"mif1", b"msf1"):  # pictures of a kind that only a later brand names
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), HEIF)
    return _BRANDS.get(brands[0]) or _video("mov")


def _text(head: bytes) -> FileType:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return TEXT
    if _UNPRINTABLE.search(head):
        return UNKNOWN
    start = head[:1024].lower()
    return next((found for sign, found in _TEXTS if sign in start), TEXT)
