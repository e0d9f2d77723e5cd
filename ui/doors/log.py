"""The log of a page that strangers visit: each kind of failure once a minute, not their words."""

import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TextIO

_BEGINS = re.compile(r"(?P<group>[ +|]*Exception Group )?Traceback \(most recent call last\)")
_FRAME = re.compile(r' File "(?P<file>[^"]*)", line (?P<line>\d+), in (?P<function>\S+)')
_CHAINED = ("\nDuring handling of the above", "\nThe above exception was")
_NAMED = re.compile(r"[A-Za-z_][\w.]*(?=:|$)", re.MULTILINE)
_MOST_KINDS = 1000
_LOG = logging.getLogger(__name__)


class Minutes:
    """Which kinds of things were said in the last minute, and how many were not said since."""

    def __init__(self, seconds: float = 60.0) -> None:
        self._seconds = seconds
        self._said: dict[Hashable, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def due(self, kind: Hashable) -> int | None:
        """How many of a kind were passed over, if one may be said now; else `None`."""
        now = time.monotonic()
        with self._lock:
            at, missed = self._said.get(kind, (now - self._seconds, 0))
            if now - at < self._seconds:
                self._said[kind] = (at, missed + 1)
                return None
            if len(self._said) >= _MOST_KINDS:
                self._said.clear()
            self._said[kind] = (now, 0)
            return missed


class QuietErrors:
    """A standard error stream that makes a line of every traceback that is printed to it.

    Gradio prints one for each request that it cannot make sense of, with what the visitor sent. The
    line has the exception's type and place. Everything else passes.
    """

    def __init__(self, stream: TextIO, minutes: Minutes | None = None) -> None:
        self._stream, self._minutes = stream, minutes or Minutes()
        self._here = threading.local()

    def __getattr__(self, name: str) -> Any:
        """Whatever else is asked of a stream: `fileno`, `isatty`, `encoding` …"""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Take what `traceback` prints, one call for each of its parts; pass on other text."""
        if not text:
            return 0
        place: str | None = getattr(self._here, "place", None)
        if begins := _BEGINS.match(text):
            self._here.place = "?"
            if begins["group"]:  # its end cannot be told from the parts of its exceptions
                self._here.place = None
                self._here.in_group = True
                self._say("An exception group", "several places")
        elif getattr(self._here, "in_group", False) and text.startswith(" "):
            pass
        elif text.startswith(_CHAINED):
            pass  # between the tracebacks of one failure
        elif place is None:
            self._here.in_group = False
            self._stream.write(text)
        elif frames := list(_FRAME.finditer(text)):
            *_, last = frames
            self._here.place = f"{Path(last['file']).name}:{last['line']} in {last['function']}"
        elif text.startswith("  ") or not text.strip():
            pass
        else:
            self._here.place = None
            name = _NAMED.match(text)
            self._say(name[0] if name else "An exception", place)
        return len(text)

    def flush(self) -> None:
        """Flush the stream behind it."""
        self._stream.flush()

    def _say(self, name: str, place: str) -> None:
        kind = f"{name} at {place}"
        if (missed := self._minutes.due(kind)) is not None:
            self._stream.write(_line(kind, missed))
            self._stream.flush()


class QuietFormatter(logging.Formatter):
    """Records in a line: with where an exception came from, but not what it says."""

    def format(self, record: logging.LogRecord) -> str:
        """A record, with the type and the places of its exception behind it."""
        kind, _, frames = record.exc_info or (None, None, None)
        record.exc_info = record.exc_text = None
        if record.name == "asyncio":  # it writes out the exception itself
            record.msg, record.args = record.getMessage().partition("\n")[0], None
        places = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(frames)]
        told = f": {kind.__name__} at {' > '.join(places)}" if kind else ""
        return super().format(record) + told


class OncePerMinute(logging.Filter):
    """Lets one record of a line of code pass in a minute, with how many did not."""

    def __init__(self, forget_exception: bool = False) -> None:
        super().__init__()
        self._minutes, self._forget = Minutes(), forget_exception

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one passes."""
        kind, _, frames = record.exc_info or (None, None, None)
        last = traceback.extract_tb(frames)[-1:]
        place = (last[0].filename, last[0].lineno) if last else None
        missed = self._minutes.due((record.name, record.lineno, kind, place))
        if missed:
            record.msg = f"{record.msg} ({missed} more since)"
        if self._forget:  # for handlers whose formatter would write it out
            record.exc_info = None
        return missed is not None


def _line(kind: str, missed: int) -> str:
    more = f" ({missed} more since)" if missed else ""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S')} {kind}{more}\n"


def _log_unraisable(failure: "sys.UnraisableHookArgs") -> None:
    """What Python itself would print of an exception that nobody could catch."""
    told = (failure.exc_type, failure.exc_value or failure.exc_type(), failure.exc_traceback)
    _LOG.warning("ignored", exc_info=told)


def keep_log_short() -> None:
    """From now on, for the whole process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(QuietFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(OncePerMinute())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # Uvicorn writes with a handler of its own; it gets it when the page is served.
    logging.getLogger("uvicorn.error").addFilter(OncePerMinute(forget_exception=True))
    sys.stderr = QuietErrors(sys.stderr)
    sys.unraisablehook = _log_unraisable
    sys.excepthook = lambda *failure: _LOG.error("it ended", exc_info=failure)
    threading.excepthook = lambda told: _LOG.error(
        "a thread ended",
        exc_info=(told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback),
    )
