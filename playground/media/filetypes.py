"""Detection of the type of a file from its first bytes, never from its name."""

import re
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from backends import Sentence

from .sanitize import DamagedFileError, tiff_entries

HEAD_BYTES = 4096
"""Bytes from the start of a file that are enough to detect its type."""


@dataclass(frozen=True, slots=True)
class FileType:
    """A type of file, with its names for programs and for people."""

    id: str
    """`png`; for a video, the name of FFmpeg's demuxer, such as `mov`."""
    title: Sentence
    """With its article, to stand in a sentence: `a PNG picture`."""
    family: Literal["picture", "video", "other"]
    """What it is, whether it is read here or not."""
    readable: bool = False
    """True if files of this type are read here."""
    advice: str = ""
    """What its owner can do, in a sentence; empty where only another file helps."""


PICTURES = "PNG, JPEG, WebP, AVIF, HEIC, GIF, BMP or TIFF"
VIDEOS = "MP4, MOV, WebM, MKV, AVI, MPEG, OGV, or an animated GIF, PNG, WebP or AVIF"

_AS_PICTURE = "Save it as PNG, JPEG or WebP and add that."
_AS_PHOTO = "Save it as JPEG in the camera or a photo program and add that."
_AS_VIDEO = "Save it as MP4 (H.264) and add that."
_SCREENSHOT = "Take a screenshot of the page you mean and add that."
_UNPACK = "Unpack it and add the pictures in it one by one."
_ORIGINAL = "Add the picture or clip that it stands for."
_COPY_AGAIN = "Look whether it was saved or copied completely, and add it again."


def _picture(id: str, format: str, title: str = "a {format} picture") -> FileType:
    return FileType(id, Sentence(title, format=format), "picture", readable=True)


def _video(id: str, title: str = "a video", format: str = "") -> FileType:
    return FileType(id, Sentence(title, format=format), "video", readable=True)


def _unread(id: str, title: str, format: str = "", *, advice: str = _AS_PICTURE) -> FileType:
    return FileType(id, Sentence(title, format=format), "picture", advice=advice)


def _raw(format: str) -> FileType:
    return _unread("raw", "a raw photo of a camera ({format})", format, advice=_AS_PHOTO)


def _unread_video(id: str, title: str, format: str) -> FileType:
    return FileType(id, Sentence(title, format=format), "video", advice=_AS_VIDEO)


def _other(id: str, title: str, format: str = "", *, advice: str = "") -> FileType:
    return FileType(id, Sentence(title, format=format), "other", advice=advice)


EMPTY = _other("empty", "an empty file", advice=_COPY_AGAIN)
ZEROS = _other("zeros", "a file of nothing but zeros", advice=_COPY_AGAIN)
TEXT = _other("text", "a text file", advice="Paste its text into the prompt.")
UNKNOWN = _other("unknown", "a file of a kind that is not known here")
PNG = _picture("png", "PNG")
JPEG = _picture("jpeg", "JPEG")
GIF = _picture("gif", "GIF")
WEBP = _picture("webp", "WebP")
AVIF = _picture("avif", "AVIF", "an {format} picture")
HEIF = _picture("heif", "HEIC")
TIFF = _picture("tiff", "TIFF")
BMP = _picture("bmp", "BMP")

_JPEG_2000 = _unread("jpeg2000", "a {format} picture", "JPEG 2000")
_JPEG_XL = _unread("jxl", "a {format} picture", "JPEG XL")
_BIG_TIFF = _unread("bigtiff", "a {format} picture", "BigTIFF")
_EPS = _unread("eps", "an {format} drawing", "EPS")
_SVG_ADVICE = "Open it in a browser and take a screenshot: a model needs pixels."
_SVG = _unread("svg", "an {format} drawing", "SVG", advice=_SVG_ADVICE)
_HTML = _other("html", "a web page", advice="Take a screenshot of the page and add that.")
_PDF = _other("pdf", "a {format} document", "PDF", advice=_SCREENSHOT)
_POSTSCRIPT = _other("ps", "a {format} document", "PostScript", advice=_SCREENSHOT)
_ZIP = _other("zip", "a ZIP archive or an Office document", advice=_UNPACK)
_GZIP = _other("gzip", "a {format} archive", "gzip", advice=_UNPACK)
_PROGRAM = _other("program", "a program")
_SOUND = _other("sound", "a sound file")
_PLAYLIST = _other("playlist", "a playlist, which only names other files")

# The first match counts: offset, magic bytes, type.
_MAGIC: tuple[tuple[int, bytes, FileType], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", PNG),
    (0, b"\xff\xd8\xff\xf7", _unread("jpegls", "a {format} picture", "JPEG-LS")),
    (0, b"\xff\xd8\xff", JPEG),
    (0, b"GIF87a", GIF),
    (0, b"GIF89a", GIF),
    (0, b"\x1aE\xdf\xa3", _video("matroska")),
    (0, b"OggS", _video("ogg", "an {format} file", "Ogg")),
    (0, b"\x00\x00\x01\xba", _video("mpeg")),
    # pictures that are not read here
    (8, b"CR\x02", _raw("CR2")),
    (0, b"II\x1a\0\0\0HEAPCCDR", _raw("CRW")),
    (0, b"FUJIFILMCCD-RAW", _raw("RAF")),
    (0, b"IIU\0", _raw("RW2")),
    (0, b"IIRO", _raw("ORF")),
    (0, b"IIRS", _raw("ORF")),
    (0, b"MMOR", _raw("ORF")),
    (0, b"FOVb", _raw("X3F")),
    (0, b"\0MRM", _raw("MRW")),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", _JPEG_2000),
    (0, b"\xff\x4f\xff\x51", _JPEG_2000),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", _JPEG_XL),
    (0, b"\xff\x0a", _JPEG_XL),
    (0, b"II\xbc", _unread("jpegxr", "a {format} picture", "JPEG XR")),
    (0, b"II+\0", _BIG_TIFF),
    (0, b"MM\0+", _BIG_TIFF),
    (0, b"8BPS", _unread("psd", "a {format} picture", "Photoshop")),
    (0, b"gimp xcf", _unread("xcf", "a {format} picture", "GIMP")),
    (0, b"\xc5\xd0\xd3\xc6", _EPS),
    (0, b"\xd7\xcd\xc6\x9a", _unread("wmf", "a {format} drawing", "WMF")),
    (0, b"\x01\0\x09\0\0\x03", _unread("wmf", "a {format} drawing", "WMF")),
    (40, b" EMF", _unread("emf", "an {format} drawing", "EMF")),
    (0, b"\x00\x00\x01\x00", _unread("ico", "an icon")),
    (0, b"\x00\x00\x02\x00", _unread("cur", "a mouse pointer")),
    (0, b"icns", _unread("icns", "an icon")),
    (0, b"\x8aMNG\r\n\x1a\n", _unread("mng", "an {format} animation", "MNG")),
    (0, b"v/1\x01", _unread("exr", "an {format} picture", "OpenEXR")),
    (0, b"#?RADIANCE", _unread("hdr", "a {format} picture", "Radiance HDR")),
    (0, b"DDS ", _unread("dds", "a {format} picture", "DDS")),
    (0, b"qoif", _unread("qoi", "a {format} picture", "QOI")),
    (0, b"SIMPLE  =", _unread("fits", "a {format} picture", "FITS")),
    (128, b"DICM", _unread("dicom", "a {format} picture", "DICOM")),
    # videos that are not read here
    (
        0,
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        _unread_video("asf", "a {format} file", "Windows Media"),
    ),
    (0, b"FLV\x01", _unread_video("flv", "a {format} video", "Flash")),
    (0, b".RMF", _unread_video("rm", "a {format} file", "RealMedia")),
    (0, b"\x06\x0e\x2b\x34", _unread_video("mxf", "an {format} video", "MXF")),
    # anything else
    (0, b"PK\x03\x04", _ZIP),
    (0, b"PK\x05\x06", _ZIP),
    (0, b"\x1f\x8b", _GZIP),
    (0, b"Rar!", _other("rar", "a {format} archive", "RAR", advice=_UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", _other("7z", "a {format} archive", "7-Zip", advice=_UNPACK)),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        _other("ole", "an old Office document", advice=_SCREENSHOT),
    ),
    (0, b"AT&TFORM", _other("djvu", "a {format} document", "DjVu", advice=_SCREENSHOT)),
    (0, b"L\0\0\0\x01\x14\x02\0", _other("lnk", "a Windows shortcut", advice=_ORIGINAL)),
    (0, b"\0\x05\x16\x07", _other("appledouble", "a side file of macOS", advice=_ORIGINAL)),
    (0, b"SQLite format 3\0", _other("sqlite", "a database")),
    (0, b"MZ", _PROGRAM),
    (0, b"\x7fELF", _PROGRAM),
    (0, b"\xcf\xfa\xed\xfe", _PROGRAM),
    (0, b"ID3", _SOUND),
    *((0, bytes((0xFF, layer)), _SOUND) for layer in b"\xe3\xf1\xf2\xf3\xf9\xfa\xfb"),
    (0, b"fLaC", _SOUND),
    (0, b"MThd", _SOUND),
    (0, b"#!AMR", _SOUND),
    (0, b"caff", _SOUND),
    (0, b".snd", _SOUND),
)
_CHUNKED = {
    (b"RIFF", b"WEBP"): WEBP,
    (b"RIFF", b"AVI "): _video("avi"),
    (b"RIFF", b"WAVE"): _SOUND,
    (b"RF64", b"WAVE"): _SOUND,
    (b"FORM", b"AIFF"): _SOUND,
    (b"FORM", b"AIFC"): _SOUND,
    (b"FORM", b"ILBM"): _unread("ilbm", "an {format} picture", "Amiga"),
}
"""By the first four bytes and the four at offset 8."""
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), AVIF),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), HEIF),
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "), _SOUND),
    **dict.fromkeys((b"jp2 ", b"jpx "), _JPEG_2000),
    b"jxl ": _JPEG_XL,
    b"crx ": _raw("CR3"),
}
"""First brand of a file of boxes (ISO/IEC 14496-12); any other is a video."""
_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""First boxes of QuickTime files without a brand."""
_TRANSPORT = ((0, 188), (4, 192))
"""MPEG transport streams: where the first sync byte 0x47 is, and how far it is to the next."""

_SUBFILE_TYPE, _PHOTOMETRIC, _MAKE, _SUB_IFDS, _DNG_VERSION = 254, 262, 271, 330, 50706
_SENSOR_COLOURS = (32803, 34892)
"""Values of `_PHOTOMETRIC` for what a sensor measured: CFA (TIFF/EP), LinearRaw (DNG)."""
_RAW_NAMES = {b"NIKON": "NEF", b"SONY": "ARW", b"PENTAX": "PEF", b"SAMSUNG": "SRW"}
"""By the maker of the camera, as it begins."""

_PACKED = (
    (b"word/", _other("docx", "a {format} document", "Word", advice=_SCREENSHOT)),
    (b"xl/", _other("xlsx", "an Excel workbook", advice=_SCREENSHOT)),
    (b"ppt/", _other("pptx", "a PowerPoint presentation", advice=_SCREENSHOT)),
    (
        b"mimetypeapplication/vnd.oasis",
        _other("odf", "an {format} file", "OpenDocument", advice=_SCREENSHOT),
    ),
    (b"mimetypeapplication/epub", _other("epub", "an e-book", advice=_SCREENSHOT)),
    (b"mimetypeimage/openraster", _unread("ora", "an {format} picture", "OpenRaster")),
    (b"mimetypeapplication/x-krita", _unread("kra", "a {format} picture", "Krita")),
)
"""Names of entries, or the first entry itself, of ZIP archives that are documents."""
# The size of the second header is known: a text may begin with BM as well.
_PATTERNS = (
    (re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), BMP),
    (
        re.compile(rb"P[1-7]\s+(#[^\n]*\n\s*)*(\d+\s+\d+\s|WIDTH )"),
        _unread("pnm", "a {format} picture", "PNM"),
    ),
    (re.compile(rb".{0,1019}%PDF-", re.DOTALL), _PDF),
    (re.compile(rb"%!PS-Adobe-[\d.]+ EPSF"), _EPS),
    (re.compile(rb"%!PS"), _POSTSCRIPT),
)
_FIRST_WORDS = (
    (b"#extm3u", _PLAYLIST),
    (b"ffconcat", _PLAYLIST),
    (b"version https://git-lfs", _other("lfs", "a Git LFS pointer", advice=_ORIGINAL)),
    (b"/* xpm */", _unread("xpm", "an {format} picture", "XPM")),
)
_ELEMENT = re.compile(rb"<(svg|!doctype html|html|head|body|script)\b")
_UNPRINTABLE = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def detect_type(head: bytes) -> FileType:
    """The type of a file; `head` are its first `HEAD_BYTES` bytes, or all if it has fewer."""
    if not head:
        return EMPTY
    if not head.strip(b"\0"):
        return ZEROS
    if found := _by_magic(head):
        return _REFINED[found](head) if found in _REFINED else found
    if head[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(head)
    if head[4:8] == b"ftyp":
        return _boxes(head)
    if head[4:8] in _BOXES:
        return _video("mov")
    for first, step in _TRANSPORT:
        if head[first::step][:4] == b"GGGG":
            return _video("mpegts")
    return _text(head)


def _by_magic(head: bytes) -> FileType | None:
    for at, magic, found in _MAGIC:
        if head.startswith(magic, at):
            return found
    for pattern, found in _PATTERNS:
        if pattern.match(head):
            return found
    return _CHUNKED.get((head[:4], head[8:12]))


def _tiff(head: bytes) -> FileType:
    """A picture, or a camera's raw photo: also a TIFF, whose first picture is a thumbnail."""
    order = "<" if head.startswith(b"II") else ">"
    values: dict[int, int] = {}
    with suppress(DamagedFileError, struct.error):  # what follows the head is not looked at
        for tag, kind, _, at in tiff_entries(head):
            (values[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), head, at)
    if _DNG_VERSION in values:
        return _raw("DNG")
    reduced = values.get(_SUBFILE_TYPE, 0) & 1 and _SUB_IFDS in values
    if not reduced and values.get(_PHOTOMETRIC) not in _SENSOR_COLOURS:
        return TIFF
    make = head[values.get(_MAKE, len(head)) :]
    names = (name for maker, name in _RAW_NAMES.items() if make.startswith(maker))
    return _raw(next(names, "TIFF/EP"))


def _boxes(head: bytes) -> FileType:
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))]
    if brands[0] in (b"mif1", b"msf1"):  # pictures of a kind that only a later brand names
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), HEIF)
    return _BRANDS.get(brands[0]) or _video("mov")


def _zip(head: bytes) -> FileType:
    return next((found for name, found in _PACKED if name in head), _ZIP)


def _gzip(head: bytes) -> FileType:
    with suppress(zlib.error):
        start = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD_BYTES)
        if _text(start) is _SVG:
            return _unread("svgz", "a packed SVG drawing", advice=_SVG_ADVICE)
    return _GZIP


_REFINED = {_ZIP: _zip, _GZIP: _gzip}


def _text(head: bytes) -> FileType:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "replace").encode("utf-8", "replace")
    elif _UNPRINTABLE.search(head):
        return UNKNOWN
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(b"<"):
        # The first element decides: a page may hold drawings, and a drawing pages.
        element = _ELEMENT.search(start)
        return TEXT if element is None else _SVG if element[1] == b"svg" else _HTML
    return next((found for words, found in _FIRST_WORDS if start.startswith(words)), TEXT)
