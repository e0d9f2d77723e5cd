"""When the frames of a clip are shown, and which of them are spread evenly over its length."""

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

MAX_FRAME_SIDE = 1280
"""Pixels of a frame's longer side: the size of the course's own frames."""
COMPARED_PIXELS = 320 * 320
"""Pixels of a frame that is compared with another."""
KEYFRAME_STRETCH = 5.0
"""Seconds from which on an evenly spaced frame may be a keyframe near the middle of its stretch."""
MAX_KEYFRAME_DISTANCE = Fraction(1, 10)
"""Distance from the middle of a stretch within which a keyframe is taken, in stretches."""


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """Presentation times of all frames, in `time_base` seconds, from reading the whole file."""

    times: tuple[int, ...]
    keys: tuple[int, ...]
    """Of those, the ones that can be decoded without others; empty where one cannot seek."""
    time_base: Fraction
    end: int = 0
    """When the last frame ceases to be shown; 0 if nothing says so."""
    start: float = 0.0
    """Seconds from the start of the clip to its first frame: sound may precede it."""
    breaks_off: bool = False
    """True if the file ends before its declared end."""

    def seconds(self, time: int) -> float:
        """A frame's time from the start of the clip, in seconds."""
        return self.start + float((time - self.times[0]) * self.time_base)

    def evenly_spaced(self, count: int) -> list[int]:
        """The times of the frames shown in the middle of each of `count` equal stretches.

        A frame that stands for several stretches is taken once. Of long stretches
        (`KEYFRAME_STRETCH`) it may be a keyframe near the middle, which is found at once.
        """
        times, keys = self.times, self.keys
        if len(times) <= count:
            return list(times)
        # The last frame is shown until the end, or as long as the others on average: a muxer that
        # does not know better writes next to nothing.
        length = Fraction(times[-1] - times[0]) * Fraction(len(times), len(times) - 1)
        stretch = max(length, Fraction(self.end - times[0])) / count
        long = stretch * self.time_base >= KEYFRAME_STRETCH
        near = stretch * MAX_KEYFRAME_DISTANCE if long else 0
        chosen: set[int] = set()
        for number in range(count):
            middle = times[0] + stretch * Fraction(2 * number + 1, 2)
            shown = times[max(0, bisect_right(times, middle) - 1)]
            place = bisect_right(keys, middle)
            around = keys[max(0, place - 1) : place + 1]
            key = min(around, key=lambda key: abs(key - middle), default=shown)
            chosen.add(key if abs(key - middle) <= near else shown)
        return sorted(chosen)


def timecode(seconds: float) -> str:
    """A time in a clip as players show it, with tenths of a second: `0:03.2`, `1:02:03.0`."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{rest // 10:02}.{rest % 10}"
