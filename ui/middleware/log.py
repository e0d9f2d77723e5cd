"""The log of a public page: each kind of failure once a minute, without what visitors sent."""

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

_TRACEBACK = re.compile(r"(?P<group>[ +|]*Exception Group )?Traceback \(most recent call last\)")
_FRAME = re.compile(r' File "(?P<file>[^"]*)", line (?P<line>\d+), in (?P<function>\S+)')
_CHAINED = ("\nDuring handling of the above", "\nThe above exception was")
_EXCEPTION_NAME = re.compile(r"[A-Za-z_][\w.]*(?=:|$)", re.MULTILINE)
_MAX_KINDS = 1000
_LOG = logging.getLogger(__name__)


class LogThrottle:
    """Allows one record of each kind per period (60 s by default), and counts the others."""

    def __init__(self, seconds: float = 60.0) -> None:
        self._seconds = seconds
        self._logged: dict[Hashable, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def due(self, kind: Hashable) -> int | None:
        """Return how many records of a kind were suppressed, or `None` if this one must be too."""
        now = time.monotonic()
        with self._lock:
            at, missed = self._logged.get(kind, (now - self._seconds, 0))
            if now - at < self._seconds:
                self._logged[kind] = (at, missed + 1)
                return None
            if len(self._logged) >= _MAX_KINDS:
                self._logged.clear()
            self._logged[kind] = (now, 0)
            return missed


class QuietErrors:
    """A standard error stream that replaces every traceback printed to it by one line.

    Gradio prints one for each request that it cannot handle, with what the visitor sent. The line
    has the exception's type and place. Other text passes unchanged.
    """

    def __init__(
        self,
        stream: TextIO,
        throttle: LogThrottle | None = None,
        line: "Callable[[str, int], str] | None" = None,
    ) -> None:
        """`line` makes the line of a kind of exception, and of how many there were since."""
        self._stream, self._throttle = stream, throttle or LogThrottle()
        self._line = line or _line
        self._state = threading.local()

    def __getattr__(self, name: str) -> Any:
        """Delegate the other attributes of a stream: `fileno`, `isatty`, `encoding` …"""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Collect what `traceback` prints, one call for each of its parts; pass on other text."""
        if not text:
            return 0
        place: str | None = getattr(self._state, "place", None)
        if begins := _TRACEBACK.match(text):
            self._state.place = "?"
            if begins["group"]:  # its end cannot be told from the parts of its exceptions
                self._state.place = None
                self._state.in_group = True
                self._write_line("An exception group", "several places")
        elif getattr(self._state, "in_group", False) and text.startswith(" "):
            pass
        elif text.startswith(_CHAINED):
            pass  # between the tracebacks of one failure
        elif place is None:
            self._state.in_group = False
            self._stream.write(text)
        elif frames := list(_FRAME.finditer(text)):
            *_, last = frames
            self._state.place = f"{Path(last['file']).name}:{last['line']} in {last['function']}"
        elif text.startswith("  ") or not text.strip():
            pass
        else:
            self._state.place = None
            name = _EXCEPTION_NAME.match(text)
            self._write_line(name[0] if name else "An exception", place)
        return len(text)

    def flush(self) -> None:
        """Flush the underlying stream."""
        self._stream.flush()

    def _write_line(self, name: str, place: str) -> None:
        kind = f"{name} at {place}"
        if (missed := self._throttle.due(kind)) is not None:
            self._stream.write(self._line(kind, missed))
            self._stream.flush()


class QuietFormatter(logging.Formatter):
    """Formats a record in one line, with the places of its exception but not its message."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record, followed by its exception's type and places."""
        kind, _, frames = record.exc_info or (None, None, None)
        record.exc_info = record.exc_text = None
        if record.name == "asyncio":  # it writes out the exception itself
            record.msg, record.args = record.getMessage().partition("\n")[0], None
        places = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(frames)]
        told = f": {kind.__name__} at {' > '.join(places)}" if kind else ""
        return super().format(record) + told


class JsonFormatter(QuietFormatter):
    """Formats a record as one line of JSON, with its `fields` if it has some."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; the message of its exception is left out."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": super().format(record),
        }
        return json.dumps(told | getattr(record, "fields", {}), ensure_ascii=False)


class OncePerMinute(logging.Filter):
    """Passes one record per line of code and minute, with the number of suppressed ones."""

    def __init__(self, forget_exception: bool = False) -> None:
        super().__init__()
        self._throttle, self._forget = LogThrottle(), forget_exception

    def filter(self, record: logging.LogRecord) -> bool:
        """True if the record passes."""
        kind, _, frames = record.exc_info or (None, None, None)
        last = traceback.extract_tb(frames)[-1:]
        place = (last[0].filename, last[0].lineno) if last else None
        missed = self._throttle.due((record.name, record.lineno, kind, place))
        if missed:
            record.msg = f"{record.msg} ({missed} more since)"
        if self._forget:  # for handlers whose formatter would write it out
            record.exc_info = None
        return missed is not None


_TEXT = QuietFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


def _line(kind: str, missed: int) -> str:
    more = f" ({missed} more since)" if missed else ""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S')} {kind}{more}\n"


def _log_unraisable(failure: "sys.UnraisableHookArgs") -> None:
    """Log an exception that could not be raised, for `sys.unraisablehook`."""
    told = (failure.exc_type, failure.exc_value or failure.exc_type(), failure.exc_traceback)
    _LOG.warning("ignored", exc_info=told)


def _json_line(kind: str, missed: int) -> str:
    """What `JsonFormatter` makes of the same."""
    more = f" ({missed} more since)" if missed else ""
    record = logging.makeLogRecord(
        {"name": "page", "levelno": logging.ERROR, "levelname": "ERROR", "msg": f"{kind}{more}"}
    )
    return JsonFormatter().format(record) + "\n"


def use_short_log(line: Callable[[str, int], str] = _line, form: logging.Formatter = _TEXT) -> None:
    """Install these handlers and hooks for the whole process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(form)
    handler.addFilter(OncePerMinute())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # Uvicorn writes with a handler of its own; it gets it when the page is served.
    logging.getLogger("uvicorn.error").addFilter(OncePerMinute(forget_exception=True))
    sys.stderr = QuietErrors(sys.stderr, line=line)
    sys.unraisablehook = _log_unraisable
    sys.excepthook = lambda *failure: _LOG.error("it ended", exc_info=failure)
    threading.excepthook = lambda told: _LOG.error(
        "a thread ended",
        exc_info=(told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback),
    )


def use_json_log(*every: logging.Logger) -> None:
    """The short log in lines of JSON; of these loggers it has every line from `INFO` on."""
    form, handler = JsonFormatter(), logging.StreamHandler(sys.stderr)
    handler.setFormatter(form)
    use_short_log(_json_line, form)
    for logger in every:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def use_json_in_uvicorn() -> None:
    """Have the handlers write JSON that Uvicorn has made when it began to serve."""
    for name in ("uvicorn", "uvicorn.error"):
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(JsonFormatter())
