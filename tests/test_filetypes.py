"""Files by their right names: from their content, without contradiction, with what to do."""

import gzip
import struct
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from backends import BadRequestError
from playground.media.filetypes import HEAD_BYTES, detect_type
from playground.media.pictures import PictureLimits, read_picture
from playground.media.video import is_clip, read_frames

LIMITS = PictureLimits()


def written(format: str, **options: Any) -> bytes:
    file = BytesIO()
    Image.new("RGB", (32, 32), "red").save(file, format, **options)
    return file.getvalue()


def tiff(tags: dict[int, tuple[int, int]], order: str = "<", after: bytes = b"") -> bytes:
    """A TIFF with one directory: each tag with its type and value."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    data = start + struct.pack(order + "IH", 8, len(tags))
    for tag, (kind, value) in sorted(tags.items()):
        data += struct.pack(order + "HHI", tag, kind, 1)
        data += struct.pack(order + ("HH" if kind == 3 else "I"), value, *([0] * (kind == 3)))
    return data + bytes(4) + after


def raw(make: bytes, order: str = "<") -> bytes:
    """A raw photo as cameras write it: a thumbnail first, the photo in a directory behind it."""
    at = 8 + 2 + 12 * 3 + 4
    return tiff({254: (4, 1), 271: (2, at), 330: (4, 900)}, order, make + bytes(3000))


def packed(*names: str, first: str = "") -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        if first:
            archive.writestr("mimetype", first)
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9"/></svg>'
UNREAD_PICTURES = [
    (b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl ", "a JPEG XL picture"),
    (b"\xff\x0a\xfa\x7f", "a JPEG XL picture"),
    (written("JPEG2000"), "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51\0\x2f", "a JPEG 2000 picture"),
    (b"\xff\xd8\xff\xf7\0\x0b\x08", "a JPEG-LS picture"),
    (b"II\xbc\x01\x08\0\0\0", "a JPEG XR picture"),
    (SVG, "an SVG drawing"),
    (b"\xef\xbb\xbf\n<!-- drawn by hand -->\n" + SVG, "an SVG drawing"),
    (b"<?xml version='1.0'?>\n<!DOCTYPE svg PUBLIC 'x'>\n" + b" " * 1500 + SVG, "an SVG drawing"),
    (b"\xff\xfe" + SVG.decode().encode("utf-16-le"), "an SVG drawing"),
    (gzip.compress(SVG, mtime=0), "a packed SVG drawing"),
    (b"8BPS\0\1\0\0", "a Photoshop picture"),
    (b"gimp xcf v011\0", "a GIMP picture"),
    (packed("data", first="image/openraster"), "an OpenRaster picture"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n", "an EPS drawing"),
    (b"\xc5\xd0\xd3\xc6\x20\0\0\0", "an EPS drawing"),
    (b"\xd7\xcd\xc6\x9a\0\0", "a WMF drawing"),
    (b"\x01\0\x09\0\0\x03\x10\0", "a WMF drawing"),
    (b"\x01\0\0\0\x6c\0\0\0" + bytes(32) + b" EMF\0\0\1\0", "an EMF drawing"),
    (written("ICO"), "an icon"),
    (written("PPM"), "a PNM picture"),
    (written("DDS"), "a DDS picture"),
    (bytes(128) + b"DICM\2\0\0\0", "a DICOM picture"),
    (b"II+\0\x08\0\0\0", "a BigTIFF picture"),
    (raw(b"NIKON CORPORATION\0", ">"), "a raw photo of a camera (NEF)"),
    (raw(b"SONY\0"), "a raw photo of a camera (ARW)"),
    (raw(b"Somebody\0"), "a raw photo of a camera (TIFF/EP)"),
    (tiff({254: (4, 0), 50706: (1, 0x0401)}), "a raw photo of a camera (DNG)"),
    (tiff({256: (4, 6000), 262: (3, 32803)}), "a raw photo of a camera (TIFF/EP)"),
    (b"II*\0\x10\0\0\0CR\2\0", "a raw photo of a camera (CR2)"),
    (b"\0\0\0\x18ftypcrx \0\0\0\1", "a raw photo of a camera (CR3)"),
    (b"FUJIFILMCCD-RAW 0201", "a raw photo of a camera (RAF)"),
    (b"IIRO\x08\0\0\0", "a raw photo of a camera (ORF)"),
    (b"IIU\0\x08\0\0\0", "a raw photo of a camera (RW2)"),
]
UNREAD_VIDEOS = [
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "a Windows Media file"),
    (b"FLV\x01\5\0\0\0\x09", "a Flash video"),
    (b".RMF\0\0\0\x12", "a RealMedia file"),
]
OTHERS = [
    (b"%PDF-1.7\n", "a PDF document"),
    (b"\n\n junk \n%PDF-1.4\n", "a PDF document"),
    (b"%!PS-Adobe-3.0\n", "a PostScript document"),
    (b"AT&TFORM\0\0\1\0DJVMDIRM", "a DjVu document"),
    (packed("[Content_Types].xml", "_rels/.rels", "word/document.xml"), "a Word document"),
    (packed("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook"),
    (packed("content.xml", first="application/vnd.oasis.opendocument.text"), "an OpenDocument"),
    (packed("OEBPS/a.xhtml", first="application/epub+zip"), "an e-book"),
    (packed("a.png", "b.png"), "a ZIP archive"),
    (gzip.compress(b"some text", mtime=0), "a gzip archive"),
    (b"<html><head><title>Not found</title>", "a web page"),
    (b"<!-- saved from url --><!doctype html><body>" + SVG, "a web page"),
    (b"<?xml version='1.0'?><!DOCTYPE html PUBLIC 'x'><html>", "a web page"),
    (b"<head><script>location='/login'</script>", "a web page"),
    (b'{"error": "not found"}', "a text file"),
    (b"BMW builds cars, and this is a text about them.", "a text file"),
    (b"I draw with <svg>, said the text.", "a text file"),
    (b"ID3\4\0", "a sound file"),
    (b"\xff\xf1\x50\x80", "a sound file"),
    (b"FORM\0\0\0\x20AIFFCOMM", "a sound file"),
    (b"\0\0\0\x20ftypM4A \0\0\0\0", "a sound file"),
    (b"L\0\0\0\1\x14\2\0\0\0", "a Windows shortcut"),
    (b"\0\5\x16\7\0\2\0\0Mac OS X", "a side file of macOS"),
    (bytes(9000), "a file of nothing but zeros"),
]


def picture_refused(data: bytes) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        read_picture(data, "it.jpg", LIMITS)
    return caught.value


def clip_refused(data: bytes) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        read_frames(BytesIO(data), "it.mp4", "even", 4, LIMITS)
    return caught.value


@pytest.mark.parametrize(("data", "title"), UNREAD_PICTURES)
def test_a_picture_that_is_not_read_is_called_one(data: bytes, title: str) -> None:
    error = picture_refused(data)
    assert error.message == f"“it.jpg” is {title}, which is not read here."
    assert error.hint.endswith(".") and not is_clip(data)
    assert clip_refused(data).message == f"“it.mp4” is {title}, not a video."


@pytest.mark.parametrize(("data", "title"), UNREAD_VIDEOS)
def test_a_video_that_is_not_read_is_called_one(data: bytes, title: str) -> None:
    assert is_clip(data)
    error = clip_refused(data)
    assert error.message == f"“it.mp4” is {title}, which is not read here."
    assert "MP4" in error.hint


@pytest.mark.parametrize(("data", "title"), OTHERS)
def test_what_is_neither_is_named(data: bytes, title: str) -> None:
    for error, wanted in ((picture_refused(data), "picture"), (clip_refused(data), "video")):
        assert f" is {title}" in error.message and error.message.endswith(f", not a {wanted}.")
        assert error.hint.endswith(".")
    assert not is_clip(data)


@pytest.mark.parametrize("data", [data for data, _ in (*UNREAD_PICTURES, *UNREAD_VIDEOS, *OTHERS)])
def test_no_name_contradicts_itself(data: bytes) -> None:
    for error in (picture_refused(data), clip_refused(data)):
        subject, _, rest = error.message.partition(", not a ")
        assert not rest or rest.rstrip(".") not in subject.partition(" is ")[2]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_what_is_read_is_read(format: str) -> None:
    data = written(format)
    kind = detect_type(data[:HEAD_BYTES])
    assert kind.id == format.lower() and kind.readable and kind.family == "picture"
    assert read_picture(data, "it", LIMITS).width == 32


def test_a_folder_is_one(tmp_path: Path) -> None:
    folder = tmp_path / "Holidays"
    folder.mkdir()
    for read in (is_clip, lambda path: read_frames(path, path.name, "even", 4, LIMITS)):
        with pytest.raises(
            BadRequestError, match=r"“Holidays” is a folder\. Add the files in it\."
        ):
            read(folder)


def test_a_video_is_no_picture_and_a_picture_no_video() -> None:
    error = picture_refused(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom")
    assert error.message == "“it.jpg” is a video, not a picture."
    assert clip_refused(written("JPEG")).message == "“it.mp4” is a JPEG picture, not a video."
