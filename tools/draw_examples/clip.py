"""Pictures to a silent clip: H.264 in MP4, which every browser plays."""
# pyright: standard
# PyAV's own annotations leave types open.

from collections.abc import Iterable
from pathlib import Path

import av
from av.video.frame import PictureType
from PIL import Image

OPTIONS = {
    "crf": "24",
    "preset": "veryslow",
    "tune": "animation",
    "profile": "high",
    "threads": "1",  # so that the same pictures give the same file
    "flags": "+bitexact",
}


def encode(
    pictures: Iterable[Image.Image], path: Path, size: tuple[int, int], rate: int, scene: int
) -> None:
    """Write pictures of an even size, `rate` a second; every `scene`-th stands on its own, so
    that a player can jump there."""
    container = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", container_options=container) as clip:
        stream = clip.add_stream("libx264", rate=rate, options=OPTIONS)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_image(picture)
            frame.pts = number
            if number % scene == 0:
                frame.pict_type = PictureType.I
            clip.mux(stream.encode(frame))
        clip.mux(stream.encode())
