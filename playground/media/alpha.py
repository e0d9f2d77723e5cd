"""Transparency of VP8 and VP9 clips: a second video beside each frame's data."""

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

ALPHA_CODECS = ("vp8", "vp9")
_MAX_WAITING = 8
"""Masks that are kept for their frames: a decoder with two threads is one or two frames behind."""
_ALPHA_ID = (1).to_bytes(8, "big")
"""`BlockAddID` of transparency, as FFmpeg puts it before the data."""


def has_alpha_beside(stream: "VideoStream") -> bool:
    """True if a video declares its transparency as WebM does, with the element `AlphaMode`."""
    codec = stream.codec_context.name
    return codec in ALPHA_CODECS and stream.metadata.get("alpha_mode") == "1"


class AlphaDecoder:
    """Decodes the masks of one clip. They are seekable no better than their own keyframes are.

    FFmpeg's own decoders are used for frame and mask, as they check the size of each frame before
    they take memory for it; libvpx, which would decode both at once, does not.
    """

    def __init__(self, codec: str, max_pixels: int) -> None:
        from av import CodecContext

        self._context: Any = CodecContext.create(codec, "r")
        self._context.options = {"max_pixels": str(max_pixels)}
        self._context.thread_count = 1
        self._masks: OrderedDict[int, NDArray[Any]] = OrderedDict()

    def feed(self, packet: "Packet[VideoStream]") -> None:
        """Decode the mask that a packet brings along, if any."""
        from av import Packet
        from av.error import FFmpegError

        if not packet.has_sidedata("matroska_block_additional"):
            return
        data = bytes(packet.get_sidedata("matroska_block_additional"))
        if not data.startswith(_ALPHA_ID):
            return
        mask = Packet(data[len(_ALPHA_ID) :])
        mask.pts, mask.dts, mask.time_base = packet.pts, packet.dts, packet.time_base
        try:
            frames: list[VideoFrame] = self._context.decode(mask)
        except FFmpegError:
            return  # a damaged mask; the next may be whole
        for frame in frames:
            if frame.pts is not None:
                self._masks[frame.pts] = _luma(frame)
        while len(self._masks) > _MAX_WAITING:
            self._masks.popitem(last=False)

    def mask(self, frame: "VideoFrame") -> "NDArray[Any] | None":
        """The opacity of each pixel of a frame, 0 to 255; `None` if it is opaque."""
        found = None if frame.pts is None else self._masks.get(frame.pts)
        return found if found is not None and found.shape == (frame.height, frame.width) else None


def _luma(frame: "VideoFrame") -> "NDArray[Any]":
    """The first plane as it is: opacity is written in the whole range, whatever the frame says."""
    import numpy

    plane = frame.planes[0]
    samples = numpy.frombuffer(bytes(plane), dtype=numpy.uint8)
    return samples.reshape(-1, plane.line_size)[: frame.height, : frame.width].copy()
