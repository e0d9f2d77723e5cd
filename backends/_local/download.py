"""Downloads of model files: in a child process, resumed, cancelled by ending it."""

import asyncio
import hashlib
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

from .._core.errors import (
    AuthenticationError,
    BackendConnectionError,
    BackendError,
    ModelNotFoundError,
    OutOfDiskError,
    unusable_proxy,
)
from .._core.sentence import Sentence
from .._core.types import Progress
from .capacity import free_disk
from .machine import gigabytes_of
from .weights import hub_cache

SAFETENSORS = (".safetensors", ".json", ".jinja", "tokenizer.model", "merges.txt")
"""Ends of the names of the files that a checkpoint needs: safetensors only, no code."""
ONNX = (".onnx", ".onnx.data", ".json", ".jinja", "tokenizer.model")
"""The same of a folder for ONNX Runtime GenAI."""
OPENVINO = ("openvino_model.xml", "openvino_model.bin", ".json", ".jinja")
"""The same of a model for OpenVINO, of which the tokenizer is not read as one of its models."""

_SPARE = 200e6
"""Bytes to leave free on the disk."""
_LARGE = 10_000_000
"""Bytes from which on a file is worth resuming in the middle."""
_WINDOW = 15.0
"""Seconds over which the rate is taken: long enough to be calm, short enough to follow."""
_RESUMES = "What came so far is kept: try again, and it goes on from there."


class Rate:
    """How fast bytes come, over a moving window."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, at: float, done: int) -> None:
        """Note that so many bytes were there at a time, in seconds."""
        self._seen.append((at, done))
        while len(self._seen) > 2 and at - self._seen[1][0] >= _WINDOW:
            self._seen.popleft()

    @property
    def per_second(self) -> float | None:
        """Bytes a second; `None` before two seconds were seen."""
        if not self._seen:
            return None
        (first, before), (last, now) = self._seen[0], self._seen[-1]
        return (now - before) / (last - first) if last - first >= 2 else None


def progress_detail(done: int, total: int, per_second: float | None) -> str:
    """How far a download is, for people: `1.2 of 2.8 GB · 14 MB/s · 2 min left`."""
    if total and done >= total:
        return Sentence("{done} · checking", done=gigabytes_of(done, total))
    parts = [gigabytes_of(done, total)]
    if per_second is not None:
        slow, megabytes = per_second < 1e7, per_second / 1e6
        code = "{megabytes:tenths} MB/s" if slow else "{megabytes} MB/s"
        parts.append(Sentence(code, megabytes=megabytes if slow else round(megabytes)))
    if per_second:
        parts.append(_time_left((total - done) / per_second))
    code = " · ".join(f"{{s{n}}}" for n in range(len(parts)))
    return Sentence(code, **{f"s{n}": one for n, one in enumerate(parts)})


def _time_left(seconds: float) -> Sentence:
    """About how long, no finer than is known: `under 10 s`, `40 s`, `2 min`, `1 h 20 min` left."""
    if seconds < 10:
        return Sentence("under 10 s left")
    if seconds < 55:
        return Sentence("{seconds} s left", seconds=round(seconds, -1))
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return Sentence("{minutes} min left", minutes=minutes)
    hours, minutes = divmod(round(minutes, -1), 60)
    if not minutes:
        return Sentence("{hours} h left", hours=hours)
    return Sentence("{hours} h {minutes} min left", hours=hours, minutes=minutes)


def kept_size(hub_id: str) -> int:
    """Bytes of files of a repository that came in part, and that `download` would go on with."""
    sizes = 0
    for part in _blobs(hub_id).glob("*.incomplete"):
        try:
            sizes += part.stat().st_size
        except OSError:  # it has just become whole
            continue
    return sizes


async def download(
    hub_id: str, label: str, folder: str = "", kinds: Sequence[str] = SAFETENSORS
) -> AsyncGenerator[Progress, None]:
    """Fetch a folder of a repository into the Hugging Face cache, files of some kinds.

    Closing the iterator ends it at once. What has come by then is kept, and the next call goes on
    from there.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise BackendConnectionError(
            Sentence("Downloads are switched off here, so {label} cannot be fetched.", label=label),
            "Unset HF_HUB_OFFLINE to switch them on.",
        )
    yield Progress("downloading", detail="asking how large it is")
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-c",
            "from backends._local.download import child; child()",
            hub_id,
            folder,
            *kinds,
        ),
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        total, rate = 0, Rate()
        async for line in process.stdout:
            event: dict[str, Any] = json.loads(line)
            if "error" in event:
                raise _error(event["error"], label)
            if "total" in event:
                total = event["total"]
                _check_disk(label, total - event["done"])
                process.stdin.write(b"go\n")
            if "complete" in event:
                return
            done = min(event["done"], total)
            rate.add(time.monotonic(), done)
            detail = progress_detail(done, total, rate.per_second)
            yield Progress("downloading", done / (total or 1), detail)
        raise _error("broken", label)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _check_disk(label: str, missing: int) -> None:
    free = free_disk()
    if missing + _SPARE > free:
        raise OutOfDiskError(
            Sentence(
                "{label} needs {missing:bytes} more on the disk; {free:bytes} is free.",
                label=label,
                missing=missing,
                free=free,
            ),
            "Make room, or point HF_HOME to a larger disk.",
            need=missing,
            free=free,
        )


def failure(error: Exception, label: str) -> BackendError:
    """What a reader is told of an error that the library raised."""
    return _error(_kind(error), label)


def _error(kind: str, label: str) -> BackendError:
    match kind:
        case "unreachable":
            return BackendConnectionError(
                Sentence(
                    "The Hugging Face Hub cannot be reached, so {label} cannot be downloaded now.",
                    label=label,
                ),
                Sentence.chain("Check the network.", _RESUMES),
            )
        case "refused":
            return AuthenticationError(
                Sentence("The Hugging Face Hub refuses to hand out {label}.", label=label),
                "Accept its terms on the Hub, and set HF_TOKEN.",
            )
        case "missing":
            return ModelNotFoundError(
                Sentence("The Hugging Face Hub does not have {label} any more.", label=label),
                "Choose another model.",
            )
        case "disk":
            return OutOfDiskError(
                Sentence("The disk became full while {label} was downloaded.", label=label),
                Sentence.chain("Make room.", _RESUMES),
            )
        case "proxy":
            return unusable_proxy("huggingface.co")
        case _:
            return BackendConnectionError(
                Sentence("The download of {label} broke off.", label=label), _RESUMES
            )


def child() -> None:
    """In the child process: fetch what the command line names, a line of JSON per event."""
    from httpx2 import InvalidURL
    from huggingface_hub import get_session

    hub_id, folder, *kinds = sys.argv[1:]
    try:
        get_session()
    except (ValueError, ImportError, InvalidURL):  # no such scheme, or no package
        _emit(error="proxy")
        raise SystemExit(1) from None
    try:
        _fetch(hub_id, folder, tuple(kinds))
    except Exception as error:
        _emit(error=_kind(error))
        raise SystemExit(1) from None


def _fetch(hub_id: str, folder: str, kinds: tuple[str, ...]) -> None:
    from huggingface_hub import HfApi, snapshot_download

    siblings = HfApi().model_info(hub_id, files_metadata=True).siblings or []
    files = [
        f
        for f in siblings
        if f.rfilename.rpartition("/")[0] == folder and f.rfilename.endswith(kinds)
    ]
    blobs = _blobs(hub_id)
    sizes = {blobs / (f.lfs.sha256 if f.lfs else f.blob_id or ""): f.size or 0 for f in files}

    def done() -> int:
        return sum(_here(blob) for blob in sizes)

    _emit(total=sum(sizes.values()), done=done())
    if sys.stdin.readline() != "go\n":
        return
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threading.Thread(target=_tell, args=(done,), daemon=True).start()
    blobs.mkdir(parents=True, exist_ok=True)
    for file in files:
        if file.lfs and (file.size or 0) >= _LARGE:
            _fetch_blob(hub_id, file.rfilename, blobs / file.lfs.sha256, file.lfs.size)
    # The small files, and the links that make a snapshot of it all.
    names = [file.rfilename for file in files]
    snapshot = Path(snapshot_download(hub_id, cache_dir=hub_cache(), allow_patterns=names))
    for file in files:
        if not file.lfs or (file.size or 0) < _LARGE:
            _check_hash(snapshot / file.rfilename, file.lfs.sha256 if file.lfs else file.blob_id)
    _emit(complete=True)


def _check_hash(file: Path, expected: str | None) -> None:
    """Raise `OSError`, and remove a file that is not what the Hub says it is.

    The library compares sizes alone. What Git itself keeps is named by Git's hash.
    """
    data = file.read_bytes()
    if len(expected or "") == 64:
        digest = hashlib.sha256(data).hexdigest()
    else:
        digest = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    if digest != expected:
        file.resolve().unlink()
        file.unlink(missing_ok=True)
        raise OSError("the file that came is not the file that was asked for")


def _fetch_blob(hub_id: str, name: str, blob: Path, size: int) -> None:
    """Fetch one large file to where the cache wants it, going on with what is there of it.

    The library would begin anew each time: it drops what it has of a file when it is interrupted.
    """
    from filelock import FileLock
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    part = _part(blob)
    with FileLock(f"{part}.lock"):  # two visitors may ask for one model
        if blob.is_file():
            return
        with part.open("ab") as file:
            http_get(
                hf_hub_url(hub_id, name),
                file,
                resume_size=file.tell(),
                headers=build_hf_headers(),
                expected_size=size,
            )
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != blob.name:
            part.unlink()
            raise OSError("the file that came is not the file that was asked for")
        part.replace(blob)
    Path(f"{part}.lock").unlink(missing_ok=True)


def _blobs(hub_id: str) -> Path:
    return hub_cache() / f"models--{hub_id.replace('/', '--')}" / "blobs"


def _part(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.incomplete")


def _here(blob: Path) -> int:
    """How many bytes of a file have come, finished or not."""
    for path in (blob, _part(blob)):
        try:
            return path.stat().st_size
        except OSError:
            continue
    return 0


def _tell(done: Callable[[], int]) -> None:
    while True:
        _emit(done=done())
        threading.Event().wait(0.5)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _emit(**event: object) -> None:
    # One write for line and end: two threads write here.
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _kind(error: Exception) -> str:
    """Which of our sentences fits. The library's own words may hold URLs with signatures."""
    from errno import EDQUOT, ENOSPC

    from httpx2 import ConnectError, TimeoutException
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        return "refused"
    if isinstance(error, RepositoryNotFoundError):
        return "missing"
    if isinstance(error, HfHubHTTPError):
        return "refused" if error.response.status_code in (401, 403) else "broken"
    if isinstance(error, ConnectError | TimeoutException | LocalEntryNotFoundError):
        return "unreachable"
    if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
        return "disk"
    return "broken"
