"""Pictures as visitors add them: every format, upright, without metadata; nothing that harms."""

import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin

from backends import BadRequestError, ImagePart
from playground.media import pictures
from playground.media.filetypes import detect_type
from playground.media.pictures import (
    MAX_SIDE,
    Picture,
    PictureLimits,
    display_name,
    fit_within,
    read_picture,
)
from playground.media.sanitize import DamagedFileError, exif_orientation, strip_metadata

LIMITS = PictureLimits()
DATA = Path(__file__).parent / "data"
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 160, 0), (0, 0, 255), (255, 255, 255)
SECRET = b"Secret-47.1N"


def quarters(width: int = 64, height: int = 96) -> Image.Image:
    """Red, green above; blue, white below: what is upright is seen at a glance."""
    image = Image.new("RGB", (width, height), WHITE)
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    return image


def written(image: Image.Image, format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def seen(picture: Picture) -> Image.Image:
    """A picture as a model's backend decodes it."""
    image = Image.open(BytesIO(picture.data))
    image.load()
    assert image.mode == "RGB" and image.size == (picture.width, picture.height)
    return image


def corners(picture: Picture) -> list[tuple[int, ...]]:
    """The colours of the four quarters' middles: above left, above right, below."""
    image, width, height = seen(picture), picture.width, picture.height
    return [image.getpixel((width * x // 4, height * y // 4)) for y in (1, 3) for x in (1, 3)]


def near(colours: list[tuple[int, ...]], expected: list[tuple[int, ...]], most: int = 12) -> bool:
    return bool((abs(numpy.subtract(colours, expected)) <= most).all())


def refused(data: bytes, name: str = "it", limits: PictureLimits = LIMITS) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        read_picture(data, name, limits)
    error = caught.value
    assert error.message.endswith(".") and error.hint.endswith(".") and error.values["reason"]
    assert "\n" not in str(error) and "Traceback" not in str(error)
    return error


# every format


def test_a_png_keeps_exactly_its_pixels() -> None:
    noise = numpy.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=numpy.uint8)
    picture = read_picture(written(Image.fromarray(noise), "PNG"), "noise.png", LIMITS)
    assert picture.media_type == "image/png" and picture.notes == ()
    assert (numpy.asarray(seen(picture)) == noise).all()
    assert picture.part == ImagePart(picture.data, "image/png")


@pytest.mark.parametrize(
    ("format", "options", "media_type"),
    [
        ("PNG", {}, "image/png"),
        ("BMP", {}, "image/png"),
        ("GIF", {}, "image/png"),
        ("TIFF", {}, "image/png"),
        ("TIFF", {"compression": "tiff_lzw"}, "image/png"),
        ("WEBP", {"lossless": True}, "image/png"),
        ("WEBP", {"quality": 95}, "image/jpeg"),
        ("JPEG", {"quality": 95}, "image/jpeg"),
        ("JPEG", {"quality": 95, "progressive": True}, "image/jpeg"),
        ("AVIF", {"quality": 95}, "image/jpeg"),
    ],
)
def test_every_format_is_told_from_its_content(
    format: str, options: dict[str, Any], media_type: str
) -> None:
    picture = read_picture(written(quarters(), format, **options), "wrong.pdf", LIMITS)
    assert picture.media_type == media_type and (picture.width, picture.height) == (64, 96)
    assert near(corners(picture), [RED, GREEN, BLUE, WHITE])


def test_a_photo_of_a_phone_is_turned_as_its_box_says() -> None:
    data = (DATA / "turned.heic").read_bytes()
    assert b"irot" in data and b"Camera of the tests" in data
    picture = read_picture(data, "turned.heic", LIMITS)
    assert (picture.width, picture.height) == (64, 96)
    assert near(corners(picture), [RED, GREEN, BLUE, WHITE])
    assert b"Camera" not in picture.data


STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda upright: upright.transpose(Image.Transpose.ROTATE_180),
    4: lambda upright: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda upright: upright.transpose(Image.Transpose.TRANSPOSE),
    6: lambda upright: upright.transpose(Image.Transpose.ROTATE_90),
    7: lambda upright: upright.transpose(Image.Transpose.TRANSVERSE),
    8: lambda upright: upright.transpose(Image.Transpose.ROTATE_270),
}


@pytest.mark.parametrize("turned", STORED)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_every_orientation_comes_out_upright(format: str, turned: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    data = written(STORED[turned](quarters()), format, exif=exif, quality=95)
    picture = read_picture(data, "turned", LIMITS)
    assert (picture.width, picture.height) == (64, 96)
    assert near(corners(picture), [RED, GREEN, BLUE, WHITE], 30)


def test_several_pictures_in_a_jpeg_are_its_first() -> None:
    data = written(quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    assert near(corners(read_picture(data, "stereo.mpo", LIMITS)), [RED, GREEN, BLUE, WHITE])


# colours


@pytest.mark.parametrize(
    ("colours", "lossless"),
    [("RGBA", True), ("LA", True), ("P", True), ("palette with alpha", True), ("RGBA", False)],
)
def test_what_is_transparent_becomes_white(colours: str, lossless: bool) -> None:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 32, 64))
    options: dict[str, Any] = {}
    if colours == "P":  # one colour of the palette is "none"
        image = image.getchannel("A").point(lambda a: 1 if a else 0).convert("L")
        image = Image.frombytes("P", image.size, image.tobytes())
        image.putpalette([255, 0, 255, 0, 0, 0])
        options = {"transparency": 0}
    elif colours == "palette with alpha":
        image = image.quantize()
    else:
        image = image.convert(colours)
    data = written(image, "PNG" if lossless else "WEBP", **options)
    result = seen(read_picture(data, "transparent", LIMITS))
    assert near([result.getpixel((8, 32)), result.getpixel((56, 32))], [(0, 0, 0), WHITE], 3)


def test_half_transparent_is_half_white() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    result = seen(read_picture(written(image, "PNG"), "half", LIMITS))
    assert near([result.getpixel((1, 1))], [(255, 127, 127)], 1)


def test_one_transparent_colour_of_an_rgb_png() -> None:
    data = written(quarters(), "PNG", transparency=RED)
    assert corners(read_picture(data, "keyed.png", LIMITS)) == [WHITE, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_are_scaled_not_clipped(format: str) -> None:
    values = numpy.linspace(0, 65535, 256, dtype=numpy.uint16).reshape(1, 256).repeat(2, 0)
    picture = read_picture(written(Image.fromarray(values), format), "deep", LIMITS)
    grey = numpy.asarray(seen(picture))[0, :, 0]
    assert (abs(grey.astype(int) - numpy.arange(256)) <= 1).all() and picture.notes == ()


def test_sixteen_bits_scaled_down() -> None:
    values = numpy.linspace(0, 65535, 512, dtype=numpy.uint16).reshape(1, 512).repeat(512, 0)
    limits = PictureLimits(kept_pixels=128 * 128)
    picture = read_picture(written(Image.fromarray(values), "PNG"), "deep.png", limits)
    row = numpy.asarray(seen(picture))[64, :, 0].astype(int)
    assert (abs(row - numpy.linspace(0, 255, 128)) <= 2).all()
    assert picture.notes == ("scaled down from 512 x 512",)


def test_twelve_bits_in_sixteen_are_made_visible_and_said_so() -> None:
    values = numpy.linspace(0, 4095, 256, dtype=numpy.uint16).reshape(1, 256).repeat(2, 0)
    picture = read_picture(written(Image.fromarray(values), "TIFF"), "scan", LIMITS)
    assert numpy.asarray(seen(picture)).max() == 255
    assert picture.notes == ("brightness stretched",)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_tiff_of_32_bits(mode: str) -> None:
    values = numpy.linspace(-1, 3, 64, dtype=numpy.float32).reshape(8, 8)
    image = Image.fromarray(values if mode == "F" else (values * 1e6).astype(numpy.int32))
    result = numpy.asarray(seen(read_picture(written(image, "TIFF"), "measured", LIMITS)))
    assert result.min() == 0 and result.max() == 255


def test_a_png_of_three_times_sixteen_bits() -> None:
    rows = b"".join(b"\0" + struct.pack(">6H", 0, 32768, 65535, 65535, 0, 0) for _ in range(2))
    result = seen(read_picture(png(2, 2, rows, depth=16, colour=2), "deep.png", LIMITS))
    assert near([result.getpixel((0, 0)), result.getpixel((1, 0))], [(0, 128, 255), RED], 1)


def test_one_bit_is_black_and_white() -> None:
    image = Image.new("1", (8, 8), 1)
    image.paste(0, (0, 0, 4, 8))
    for format in ("PNG", "BMP", "TIFF"):
        result = seen(read_picture(written(image, format), "fax", LIMITS))
        assert [result.getpixel((1, 1)), result.getpixel((6, 6))] == [(0, 0, 0), WHITE]


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_printers_colours(format: str) -> None:
    # Pillow writes CMYK as Adobe does, inverted, and says so in a marker that must survive.
    data = written(quarters().convert("CMYK"), format)
    assert (b"Adobe" in data) == (format == "JPEG")
    assert near(corners(read_picture(data, "print", LIMITS)), [RED, GREEN, BLUE, WHITE], 16)


# what comes out


def test_no_metadata_comes_out() -> None:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif.get_ifd(0x8825)[29] = SECRET.decode()
    text = PngImagePlugin.PngInfo()
    text.add_text("where", SECRET.decode())
    text.add_text("packed", SECRET.decode(), zip=True)
    text.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    notes = {"exif": exif, "xmp": SECRET, "icc_profile": SECRET, "comment": SECRET}
    for format in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF"):
        options = dict(notes)
        if format == "AVIF":  # its encoder looks into the profile
            options.pop("icc_profile")
        data = written(quarters(), format, pnginfo=text, **options)
        assert SECRET in data
        picture = read_picture(data, "secret", LIMITS)
        assert SECRET not in picture.data and SECRET.decode() not in picture.model_dump_json()
        left = seen(picture).info.keys() - {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert left == set()


def test_a_large_photo_is_scaled_down_to_what_is_kept() -> None:
    data = written(quarters(3000, 2000), "JPEG")
    picture = read_picture(data, "photo.jpg", PictureLimits(kept_pixels=1_000_000))
    assert 990_000 < picture.width * picture.height <= 1_000_000
    assert abs(picture.width / picture.height - 1.5) < 0.01
    assert picture.notes == ("scaled down from 3,000 x 2,000",)
    assert near(corners(picture), [RED, GREEN, BLUE, WHITE])


def test_the_note_counts_pixels_of_the_upright_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = written(quarters(300, 200), "JPEG", exif=exif)
    picture = read_picture(data, "photo.jpg", PictureLimits(kept_pixels=10_000))
    assert picture.width < picture.height
    assert picture.notes == ("scaled down from 200 x 300",)


def test_a_photo_of_48_million_pixels_is_never_decoded_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = written(Image.linear_gradient("L").resize((8064, 6048)), "JPEG", quality=30)
    prepared: list[tuple[int, int]] = []
    prepare = ImageFile.ImageFile.load_prepare

    def noting(self: ImageFile.ImageFile) -> None:
        prepared.append(self.size)
        prepare(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", noting)
    picture = read_picture(data, "photo.jpg", LIMITS)
    assert prepared == [(4032, 3024)]
    assert picture.notes == ("scaled down from 8,064 x 6,048",)


def test_noise_too_large_as_png_becomes_jpeg() -> None:
    noise = numpy.random.default_rng(3).integers(0, 256, (1500, 1500, 3), dtype=numpy.uint8)
    picture = read_picture(written(Image.fromarray(noise), "BMP"), "noise.bmp", LIMITS)
    assert picture.media_type == "image/jpeg" and picture.notes == ("saved as JPEG",)


def test_jpeg_keeps_the_edges_of_colours() -> None:
    picture = read_picture(written(quarters(), "JPEG"), "photo.jpg", LIMITS)
    assert seen(picture).layer[0][1:3] == (1, 1)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("format", "note"),
    [
        ("PNG", "first of 3 frames"),
        ("WEBP", "first of 3 frames"),
        ("AVIF", "first of 3 frames"),
        ("GIF", "first frame of an animation"),
        ("TIFF", "first of several pages"),
    ],
)
def test_of_an_animation_the_first_frame_and_a_note(format: str, note: str) -> None:
    others = [Image.new("RGB", (64, 96), colour) for colour in ("black", "yellow")]
    data = written(quarters(), format, save_all=True, append_images=others, duration=100)
    picture = read_picture(data, "moving", LIMITS)
    assert picture.notes == (note,)
    assert near(corners(picture), [RED, GREEN, BLUE, WHITE], 40)


@pytest.mark.parametrize("size", [(1, 1), (10_000, 3), (3, 10_000), (40_000, 1), (1, 40_000)])
def test_odd_shapes(size: tuple[int, int]) -> None:
    for format in ("PNG", "TIFF", "JPEG"):
        picture = read_picture(written(Image.new("RGB", size, RED), format), "odd", LIMITS)
        assert max(picture.width, picture.height) == min(max(size), MAX_SIDE)
        assert near([seen(picture).getpixel((0, 0))], [RED], 3)


@given(
    st.tuples(st.integers(1, 70_000), st.integers(1, 70_000)),
    st.integers(1, 10_000_000),
    st.integers(1, 20_000),
)
def test_what_is_fitted_fits(size: tuple[int, int], pixels: int, side: int) -> None:
    width, height = fit_within(size, pixels, side)
    assert 1 <= width <= min(size[0], side) and 1 <= height <= min(size[1], side)
    assert width * height <= pixels or 1 in (width, height)


# records


def test_what_is_written_down_has_no_pixels() -> None:
    picture = read_picture(written(quarters(), "PNG"), "a.png", LIMITS)
    record = picture.model_dump_json()
    assert set(picture.model_dump()) == {
        *("name", "media_type", "width", "height", "digest", "notes")
    }
    again = Picture.model_validate_json(record)
    assert picture.available and not again.available
    assert again == picture.model_copy(update={"data": b""})
    assert "data" not in repr(picture)


def test_a_browser_cannot_bring_its_own_data() -> None:
    picture = read_picture(written(quarters(), "PNG"), "a.png", LIMITS)
    forged = picture.model_dump() | {"data": "<svg onload=alert(1)>", "more": 1}
    assert Picture.model_validate(forged).data == b""
    assert Picture.model_validate_json(Picture.model_validate(forged).model_dump_json()).data == b""


def test_the_same_picture_has_the_same_digest() -> None:
    one, other = written(quarters(), "PNG"), written(quarters(), "BMP")
    assert read_picture(one, "a", LIMITS).digest == read_picture(other, "b", LIMITS).digest
    assert (
        read_picture(one, "a", LIMITS).digest
        != read_picture(written(Image.new("RGB", (9, 9)), "PNG"), "a", LIMITS).digest
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("photo.heic", "photo.heic"),
        ("C:\\Users\\me\\photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("a\nb\x00c\x1b[31m.png", "a bc.png"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("half \ud800.png", "half \ufffd.png"),
        ("写真.png", "写真.png"),
        ("", "picture"),
        ("///", "picture"),
        ("\x00\x01", "picture"),
    ],
)
def test_names_are_cleaned(name: str, expected: str) -> None:
    assert read_picture(written(quarters(), "PNG"), name, LIMITS).name == expected


@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_any_name_can_be_shown(name: str) -> None:
    cleaned = display_name(name, "picture")
    assert 0 < len(cleaned) <= 120 and cleaned.encode()
    assert not set(cleaned) & {"/", "\\", "\n", "\r", "\t", "\0", "\u202e"}


def test_a_long_name_keeps_its_ending() -> None:
    assert display_name("x" * 300 + ".heic", "") == "x" * 114 + "….heic"


# what is no picture


@pytest.mark.parametrize(
    ("data", "said", "hint"),
    [
        (b"", "an empty file", "copied completely"),
        (b"%PDF-1.7\n", "a PDF document", "screenshot"),
        (b'<?xml version="1.0"?><svg xmlns="x">', "an SVG drawing", "screenshot"),
        (b"  <!DOCTYPE html><p>", "a web page", "screenshot"),
        (b"MZ\x90\0\3", "a program", "PNG, JPEG"),
        (b"\x7fELF\2", "a program", "PNG, JPEG"),
        (b"hello, picture", "a text file", "prompt"),
        ("ein schönes Bild".encode("utf-16"), "a text file", "prompt"),
        (b"ID3\4\0", "a sound file", "PNG, JPEG"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a sound file", "PNG, JPEG"),
        (b"PK\x03\x04", "a ZIP archive", "Unpack"),
        (b"#EXTM3U\nfile:///etc/passwd", "a playlist", "PNG, JPEG"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "a video", "PNG, JPEG"),
        (b"\0\1\2\3\4\5\6\7\x08", "not known here", "PNG, JPEG"),
        (b"\xff\x0a\0\0", "a JPEG XL picture", "PNG, JPEG"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, said: str, hint: str) -> None:
    error = refused(data, "holiday.png")
    assert said in error.message and hint in error.hint and "“holiday.png”" in error.message


def test_too_many_bytes() -> None:
    error = refused(bytes(2_000_001), "big.png", PictureLimits(file_bytes=2_000_000))
    assert error.message == "“big.png” has 2.0 MB; at most 2.0 MB fit here."
    assert error.values["limit"] == 2_000_000


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"])
def test_what_breaks_off_is_refused(format: str) -> None:
    noise = numpy.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=numpy.uint8)
    data = written(Image.fromarray(noise), format)
    for part in (0.9, 0.5, 0.1):
        error = refused(data[: int(len(data) * part)], "half")
        assert error.values["reason"] == "damaged", part


NOISE = Image.fromarray(
    numpy.random.default_rng(3).integers(0, 256, (61, 63, 3), dtype=numpy.uint8)
)
UNMARKED = ("the end of the file is missing",)


@pytest.mark.parametrize(
    ("format", "options", "lost"),
    [
        ("JPEG", {}, 2),
        ("JPEG", {}, 1),
        ("JPEG", {"progressive": True}, 2),
        ("JPEG", {"restart_marker_blocks": 1}, 2),
        ("PNG", {}, 12),
        ("GIF", {}, 1),
        ("GIF", {}, 2),
    ],
)
def test_only_the_mark_of_the_end_is_missing(
    format: str, options: dict[str, Any], lost: int
) -> None:
    data = written(NOISE, format, **options)
    whole, short = (read_picture(d, "it", LIMITS) for d in (data, data[:-lost]))
    assert (numpy.asarray(seen(short)) == numpy.asarray(seen(whole))).all()
    assert (whole.notes, short.notes) == ((), UNMARKED)


def test_a_jpeg_scaled_down_without_its_end() -> None:
    data = written(quarters(3000, 2000), "JPEG")[:-2]
    picture = read_picture(data, "photo.jpg", PictureLimits(kept_pixels=1_000_000))
    assert picture.notes == ("scaled down from 3,000 x 2,000", *UNMARKED)
    assert near(corners(picture), [RED, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}])
@pytest.mark.parametrize("rest", [b"", b"\xff", bytes(5000), b"\xff\xd0"])
def test_a_jpeg_that_breaks_off_in_its_data(options: dict[str, Any], rest: bytes) -> None:
    data = written(NOISE, "JPEG", **options)[:-2]
    for lost in (12, len(data) // 10, len(data) // 2):
        assert refused(data[:-lost] + rest).values["reason"] == "damaged", lost


def test_a_jpeg_that_breaks_off_between_two_scans() -> None:
    data = written(quarters(), "JPEG", progressive=True)
    scan = data.index(b"\xff\xda")
    for _ in range(4):
        scan = data.index(b"\xff\xda", scan + 1)
        assert refused(data[:scan]).values["reason"] == "damaged"


def test_a_jpeg_whose_end_is_overwritten_with_zeros_is_whole_if_its_data_are() -> None:
    data = written(quarters(), "JPEG")[:-2] + bytes(300)
    assert read_picture(data, "photo.jpg", LIMITS).notes == UNMARKED


def test_a_webp_whose_metadata_break_off() -> None:
    for options in ({"lossless": True}, {"quality": 90}):
        data = written(quarters(), "WEBP", xmp=SECRET * 100, **options)
        picture = read_picture(data[:-500], "photo.webp", LIMITS)
        assert near(corners(picture), [RED, GREEN, BLUE, WHITE]) and picture.notes == UNMARKED


def test_a_gif_that_breaks_off_after_its_first_frame() -> None:
    frames = [quarters(), Image.new("RGB", (64, 96), "black")]
    data = written(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)
    second = data.rindex(b"\x21\xf9")
    for end in range(second, second + 8):
        picture = read_picture(data[:end], "moving.gif", LIMITS)
        assert near(corners(picture), [RED, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("frame", [0xC3, 0xC5, 0xCF, 0xF7])
def test_a_jpeg_that_no_browser_shows(frame: int) -> None:
    data = written(quarters(), "JPEG").replace(b"\xff\xc0", bytes((0xFF, frame)), 1)
    assert refused(data, "scan.jpg").values["reason"] == "unusual"


def test_a_jpeg_of_twelve_bits_is_not_called_damaged() -> None:
    data = bytearray(written(quarters(), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    error = refused(bytes(data), "scan.jpg")
    assert error.message == "“scan.jpg” is a JPEG picture of a kind that is not read here."


@pytest.mark.parametrize("format", ["WEBP", "AVIF"])
def test_a_sound_file_is_not_called_damaged_where_pillow_lacks_its_decoder(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(quarters(), format)
    monkeypatch.setattr("PIL.features.check", lambda feature: False)
    assert refused(data).values["reason"] == "unusual"


def test_an_animation_is_drawn_on_white_whatever_its_header_says() -> None:
    frames = [Image.new("RGBA", (64, 48), (0, 0, 0, 0)) for _ in range(2)]
    for place, frame in enumerate(frames):
        frame.paste((255, 0, 0, 255), (16 * place, 0, 16 * place + 16, 48))
    data = written(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert not data[20] & 0x10, "the header says that nothing is transparent"
    result = seen(read_picture(data, "sticker.webp", LIMITS))
    assert [result.getpixel((8, 24)), result.getpixel((40, 24))] == [RED, WHITE]


def test_a_sound_heic_is_not_called_damaged_where_its_decoder_is_missing(monkeypatch) -> None:
    monkeypatch.setitem(pictures._DECODERS, "heif", ("no_such_decoder", "HeifImageFile"))
    with pytest.raises(BadRequestError, match="of a kind that is not read here"):
        read_picture((DATA / "turned.heic").read_bytes(), "turned.heic", LIMITS)


def test_a_heic_that_breaks_off_is_refused() -> None:
    data = (DATA / "turned.heic").read_bytes()
    assert [refused(data[:size]).values["reason"] for size in (30, 300, 700)] == ["damaged"] * 3


# what is made to do harm


@contextmanager
def memory_under(most: int) -> Iterator[None]:
    """Fail where Python's own allocations reach a number of bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc


def png(width: int, height: int, rows: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def enlarged(format: str) -> bytes:
    """A small picture that says in its header that it is 60,000 x 60,000, or as far as it goes."""
    data = written(quarters(16, 16), format)
    if format == "PNG":
        return png(60_000, 60_000, bytes(1000))
    if format == "BMP":
        return data[:18] + struct.pack("<ii", 60_000, 60_000) + data[26:]
    if format == "GIF":
        return data[:6] + struct.pack("<HH", 60_000, 60_000) + data[10:]
    if format == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + struct.pack(">HH", 60_000, 60_000) + data[at + 4 :]
    if format == "WEBP":
        size = (16_383).to_bytes(3, "little")
        body = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + size + size
        body += b"ANIM" + struct.pack("<I", 6) + bytes(6)
        frame = bytes(6) + size + size + b"\1\0\0\0" + data[12:]
        body += b"ANMF" + struct.pack("<I", len(frame)) + frame
        return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
    if format == "TIFF":
        return retagged(data, {256: 60_000, 257: 60_000})
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", 16_000, 16_000) + data[at + 8 :]


def retagged(tiff: bytes, values: dict[int, int]) -> bytes:
    """A little-endian TIFF with other values of some tags, as LONG."""
    (start,) = struct.unpack_from("<I", tiff, 4)
    (entries,) = struct.unpack_from("<H", tiff, start)
    changed = bytearray(tiff)
    for at in range(start + 2, start + 2 + 12 * entries, 12):
        (tag,) = struct.unpack_from("<H", tiff, at)
        if tag in values:
            struct.pack_into("<HHII", changed, at, tag, 4, 1, values[tag])
    return bytes(changed)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "HEIF"])
def test_a_bomb_is_refused_before_anything_is_decoded(
    format: str, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("decoded")

    for decoder in (ImageFile.ImageFile, PngImagePlugin.PngImageFile):
        monkeypatch.setattr(decoder, "load", never)
    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", never)
    if format == "HEIF":
        small = (DATA / "turned.heic").read_bytes()
        at = small.index(b"ispe") + 8
        data = small[:at] + struct.pack(">II", 16_000, 16_000) + small[at + 8 :]
    else:
        data = enlarged(format)
    assert len(data) < 10_000
    with memory_under(2_000_000):
        error = refused(data, "bomb")
    assert error.values["reason"] == "too_many_pixels" and "at most 50 million" in error.message
    assert not recwarn.list


def test_text_and_profiles_that_unpack_to_much_are_never_unpacked() -> None:
    much = zlib.compress(bytes(50_000_000), 9)
    bombs = (
        chunk(b"iCCP", b"x\0\0" + much)
        + chunk(b"zTXt", b"x\0\0" + much) * 20
        + chunk(b"iTXt", b"x\0\1\0\0\0" + much) * 20
    )
    plain = written(quarters(), "PNG")
    with memory_under(10_000_000):
        picture = read_picture(plain[:33] + bombs + plain[33:], "bomb.png", LIMITS)
    assert corners(picture) == [RED, GREEN, BLUE, WHITE]


def test_a_directory_that_points_at_the_whole_file_over_and_over() -> None:
    # Reading 20,000 tags of 1 MB each would take 20 GB of memory.
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 20_000)
    exif += b"".join(struct.pack("<HHII", 40_000 + i, 7, 1_000_000, 0) for i in range(20_000))
    tiff = written(quarters(), "TIFF")
    known = b"".join(struct.pack("<HHII", 273, 7, 60_000, 0) for _ in range(40))
    many = tiff[:4] + struct.pack("<I", len(tiff)) + tiff[8:] + struct.pack("<H", 40) + known
    with memory_under(20_000_000):
        picture = read_picture(written(quarters(), "WEBP", exif=exif), "notes.webp", LIMITS)
        error = refused(many + bytes(4), "many.tiff")
    assert (picture.width, error.values["reason"]) == (64, "damaged")


def test_a_photo_of_a_thousand_scans_is_refused() -> None:
    data = written(quarters(), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    again = data[scan:-2]
    error = refused(data[:-2] + again * 1000 + data[-2:], "slow.jpg")
    assert error.values["reason"] == "damaged"


def test_more_parts_than_any_picture_has() -> None:
    plain, jpeg = written(quarters(), "PNG"), written(quarters(), "JPEG")
    for data in (
        plain[:33] + chunk(b"tEXt", b"") * 200_000 + plain[33:],
        jpeg[:2] + b"\xff\xfe\0\2" * 200_000 + jpeg[2:],
    ):
        assert refused(data).values["reason"] == "damaged"


def test_a_tiff_of_a_kind_that_is_not_read() -> None:
    plain = written(quarters(), "TIFF")
    tiles = plain.replace(struct.pack("<H", 278), struct.pack("<H", 322), 1)
    for unusual in (
        written(quarters(), "TIFF", compression="jpeg"),
        retagged(plain, {262: 6}),
        tiles,
    ):
        error = refused(unusual, "scan.tiff")
        assert error.values["reason"] == "unusual" and "PNG" in error.hint


@pytest.mark.parametrize("kind", [1, 4])
def test_a_tiff_whose_compression_is_written_as_another_type(kind: int) -> None:
    value = struct.pack(">I", 7) if kind == 4 else b"\x07\xff\0\0"
    tags = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (262, 3, 1, 1), (273, 3, 1, 200)]
    rows = [struct.pack(">HHIHH", *tag, 0) for tag in tags]
    rows.insert(3, struct.pack(">HHI", 259, kind, 1) + value)
    data = b"MM\0*" + struct.pack(">IH", 8, len(rows)) + b"".join(rows) + bytes(300)
    assert refused(data, "scan.tiff").values["reason"] == "unusual"


def test_nothing_of_a_webp_but_its_pixels_goes_on() -> None:
    profile = b"a colour profile " * 20
    data = written(quarters(), "WEBP", lossless=True, icc_profile=profile)
    assert profile in data
    assert b"iCCP" not in read_picture(data, "drawing.webp", PictureLimits()).data


def test_what_a_deep_grey_calls_clear_is_white() -> None:
    image = Image.fromarray(numpy.full((4, 4), 30_000, dtype=numpy.uint16))
    data = written(image, "PNG", transparency=30_000)
    shown = read_picture(data, "grey.png", PictureLimits())
    assert Image.open(BytesIO(shown.data)).convert("RGB").getpixel((1, 1)) == (255, 255, 255)


def test_a_photo_of_two_sizes_is_refused() -> None:
    data = written(quarters(), "JPEG")
    at = data.index(b"\xff\xc0")
    frame = data[at : at + 19]
    other = frame[:5] + struct.pack(">HH", 8, 8) + frame[9:]
    assert refused(data[:at] + other + data[at:]).values["reason"] == "damaged"


def test_strips_larger_than_the_picture() -> None:
    data = written(quarters(), "TIFF", compression="tiff_deflate")
    for values in (
        {278: 0xFFFFFFFF},
        {273: 0xFFFFFFF0},
        {279: 0xFFFFFFF0},
        {277: 0xFFFF},
        {258: 0xFFFF},
    ):
        with memory_under(20_000_000):
            try:
                assert seen(read_picture(retagged(data, values), "odd.tiff", LIMITS))
            except BadRequestError as error:
                assert error.values["reason"] == "damaged"


def test_a_directory_inside_the_header_is_refused() -> None:
    data = written(quarters(), "TIFF")
    for start in range(8):
        with pytest.raises(DamagedFileError):
            strip_metadata("tiff", data[:4] + struct.pack("<I", start) + data[8:])


def test_a_picture_without_area_is_damaged() -> None:
    for data in (png(0, 5, b""), png(5, 0, b"")):
        assert refused(data).values["reason"] == "damaged"


SAMPLES = [
    written(quarters(16, 16), format)
    for format in ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
] + [(DATA / "turned.heic").read_bytes()]


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 1500), st.binary(min_size=1, max_size=4)), max_size=6),
    st.integers(0, 2000),
)
def test_whatever_is_added_is_a_picture_or_a_clear_refusal(
    sample: bytes, changes: list[tuple[int, bytes]], cut: int
) -> None:
    data = bytearray(sample)
    for at, change in changes:
        at %= len(data)
        data[at : at + len(change)] = change
    expect_picture_or_refusal(bytes(data[: max(len(data) - cut % 50, 0)]))


@settings(deadline=None)
@given(st.sampled_from([b"", *(sample[:12] for sample in SAMPLES)]), st.binary(max_size=300))
def test_whatever_follows_the_right_beginning(start: bytes, rest: bytes) -> None:
    expect_picture_or_refusal(start + rest)


def expect_picture_or_refusal(data: bytes) -> None:
    try:
        picture = read_picture(data, "it", PictureLimits(pixels=1_000_000))
    except BadRequestError as error:
        assert error.message and error.hint
    else:
        assert seen(picture)


@given(st.binary(max_size=100))
def test_whatever_notes_say_of_turning(exif: bytes) -> None:
    assert 1 <= exif_orientation(exif) <= 8
    assert 1 <= exif_orientation(b"Exif\0\0II*\0\x08\0\0\0" + exif) <= 8


@given(st.binary(max_size=600))
def test_every_file_has_a_title(head: bytes) -> None:
    assert detect_type(head).title.startswith(("a ", "an "))
