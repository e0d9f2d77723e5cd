"""What a GGUF file says of itself: architecture, shape, vocabulary, and whether it is all there.

The format: `docs/gguf.md` in ggml-org/ggml, versions 2 and 3. Numbers of tensor and file types:
`gguf/constants.py` of the `gguf` package, 0.19.
"""

import hashlib
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

_LONGEST_TEXT = 16_000_000
"""Bytes of one text: a chat template takes some ten thousand."""
_MOST = 10_000_000
"""Entries of a list, of the header and of the tensors: a vocabulary has 300,000."""
_NUMBERS = dict(zip([*range(8), 10, 11, 12], "BbHhIif?Qqd", strict=True))
"""Kinds of values that are numbers, as `struct` names them."""
_TEXT, _LIST = 8, 9

# fmt: off
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 40), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4),
    27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66),
    39: (32, 17), 40: (64, 36), 41: (128, 18),
}
"""Of each type of tensor: numbers of a block, and bytes that it takes."""
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0",
    38: "MXFP4", 39: "NVFP4", 40: "Q1_0",
}
# fmt: on
"""What most of a file's tensors are, by its number for it."""

_NO_DECODERS = ("bert", "clip", "t5encoder", "wavtokenizer", "whisper", "embed")
"""In the names of architectures that write no text."""
_CONTROL, _ADDED = 3, 4
"""Kinds of tokens: those that steer a model, and those that were added, such as two line ends."""
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)


class GGUFError(ValueError):
    """What cannot be read as a GGUF file."""


class Tensor(NamedTuple):
    """One tensor as the header describes it."""

    name: str
    numbers: int
    size: int | None
    """Bytes; `None` if its type is not known here."""
    offset: int
    """From the first tensor's beginning."""


@dataclass(frozen=True)
class Header:
    """What the page needs of a file, and of the files that it was split into."""

    architecture: str
    name: str
    """As its makers call it; may be empty."""
    file_type: str
    """Such as `Q4_K_M`; empty if it does not say."""
    size: int
    """Bytes of all its files."""
    parameters: int
    context: int
    """Tokens of its full window; 0 if it does not say."""
    vocabulary: int
    cache_per_token: int
    """Bytes of keys and values of one token, in 16 bits."""
    read_per_token: int
    """Bytes of weights that are read for each token: of a mixture, those of the experts at work."""
    active_parameters: int
    writes: bool
    """Whether it writes text at all, rather than vectors, sound or what helps another model see."""
    template: str
    """Its chat template; empty if it has none."""
    fingerprint: str
    """The same of two copies of one file."""

    @property
    def chats(self) -> bool:
        """Whether it writes text, and has a chat template."""
        return self.writes and bool(self.template)


def read(path: Path) -> Header:
    """Read a file's header, kept until the file changes.

    Raises `GGUFError` if it is none, or if not all of it is here; `OSError` if it cannot be read.
    """
    files = parts(path)
    about = [file.stat() for file in files]
    return _read(
        tuple(zip(files, (one.st_size for one in about), strict=True)), about[0].st_mtime_ns
    )


def is_later_part(path: Path) -> bool:
    """Whether it is the second or a later one of the files that a model was split into."""
    return bool(found := _PART.search(path.name)) and int(found[1]) != 1


def without_part(name: str) -> str:
    """A file's name without its ending, and without the number of a part."""
    return re.sub(r"(-\d{5}-of-\d{5})?\.gguf$", "", name, flags=re.IGNORECASE)


def parts(path: Path) -> list[Path]:
    """All files of a model, by its first one. Raises `GGUFError` if one is missing."""
    found = _PART.search(path.name)
    if not found:
        return [path]
    before, count = path.name[: found.start()], int(found[2])
    if not 1 <= count <= 1000:
        raise GGUFError(f"{path.name} is one of {count} files")
    files = [path.with_name(f"{before}-{n:05}-of-{count:05}.gguf") for n in range(1, count + 1)]
    if missing := [file.name for file in files if not file.is_file()]:
        raise GGUFError(f"{missing[0]} is missing")
    return files


def control_tokens(path: Path) -> list[str]:
    """The tokens that a text must not turn into, longest first; single letters are left out.

    Some files have what steers a chat among the tokens that were added.
    """
    with path.open("rb") as file:
        values, _, _ = _metadata(_Reader(file, path.stat().st_size), lists=True)
    tokens: list[Any] = _list(values.get("tokenizer.ggml.tokens"))
    kinds: list[Any] = _list(values.get("tokenizer.ggml.token_type"))
    controls = {
        token
        for token, kind in zip(tokens, kinds, strict=False)
        if isinstance(token, str)
        and len(token) > 1
        and (kind == _CONTROL or (kind == _ADDED and token[:2] == "<|" and token[-2:] == "|>"))
    }
    return sorted(controls, key=len, reverse=True)


@lru_cache(maxsize=256)
def _read(files: tuple[tuple[Path, int], ...], changed: int) -> Header:
    values: dict[str, Any] = {}
    tensors: list[Tensor] = []
    for n, (path, size) in enumerate(files):
        with path.open("rb") as file:
            found, some, begin = _metadata(_Reader(file, size))
        tensors += some
        values = values or found
        last = max(some, key=lambda one: one.offset, default=None)
        if last and begin + last.offset + (last.size or 0) > size:
            raise GGUFError(f"{path.name} is not all here")
        if n == 0 and len(files) == 1 and int(found.get("split.count", 0)) > 1:
            raise GGUFError(f"{path.name} is one of several files")
    return _header(values, tensors, sum(size for _, size in files), _fingerprint(files[0]))


def _header(
    values: Mapping[str, Any], tensors: list[Tensor], size: int, fingerprint: str
) -> Header:
    architecture = str(values.get("general.architecture", ""))

    def fact(name: str, otherwise: Any = 0) -> Any:
        return values.get(f"{architecture}.{name}", otherwise)

    heads, width = fact("attention.head_count"), _whole(fact("embedding_length"))
    layers = _whole(fact("block_count"))
    # Of some models each layer has its own number of heads.
    several = heads if isinstance(heads, list) else [heads]
    each = width // max(1, *map(_whole, several or [1]))
    key, value = (_whole(fact(f"attention.{one}_length", each)) for one in ("key", "value"))
    shared = fact("attention.head_count_kv", heads)
    cached = sum(map(_whole, shared)) if isinstance(shared, list) else _whole(shared) * layers
    experts, used = _whole(fact("expert_count")), _whole(fact("expert_used_count"))
    share = used / experts if 0 < used < experts else 1.0
    names = {one.name for one in tensors}
    kind = str(values.get("general.type", "model"))
    active = reads = 0.0
    for one in tensors:
        part = share if "_exps" in one.name else 1.0
        active += one.numbers * part
        # One row is looked up, where the same table does not serve as the last layer too.
        if one.name != "token_embd.weight" or "output.weight" not in names:
            reads += (one.size or 0) * part
    return Header(
        architecture=architecture,
        name=str(values.get("general.name", "")).strip(),
        file_type=_FILE_TYPES.get(_whole(values.get("general.file_type", -1)), ""),
        size=size,
        parameters=sum(one.numbers for one in tensors),
        context=_whole(fact("context_length")),
        vocabulary=_whole(values.get("tokenizer.ggml.tokens", 0)),
        cache_per_token=2 * cached * (key + value),
        read_per_token=round(reads),
        active_parameters=round(active),
        writes=(
            kind == "model"
            and bool(architecture and tensors)
            and not any(part in architecture for part in _NO_DECODERS)
            and not _whole(fact("pooling_type"))
        ),
        template=str(values.get("tokenizer.chat_template", "")),
        fingerprint=fingerprint,
    )


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _fingerprint(file: tuple[Path, int]) -> str:
    """Of its size, beginning, middle and end: two models of one shape differ in their weights."""
    path, size = file
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as data:
        for place in (0, size // 2, max(0, size - 65_536)):
            data.seek(place)
            digest.update(data.read(65_536))
    return digest.hexdigest()


class _Reader:
    """Reads numbers and texts from a file, none of them longer than the file."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size
        self.place = 0

    def bytes(self, count: int) -> bytes:
        if count > self._size - self.place:
            raise GGUFError("it ends in its header")
        data = self._file.read(count)
        if len(data) != count:
            raise GGUFError("it ends in its header")
        self.place += count
        return data

    def number(self, form: str) -> Any:
        return struct.unpack(f"<{form}", self.bytes(struct.calcsize(f"<{form}")))[0]

    def count(self, most: int = _MOST) -> int:
        count = self.number("Q")
        if count > most:
            raise GGUFError(f"it counts {count} of something")
        return count

    def text(self) -> str:
        return self.bytes(self.count(_LONGEST_TEXT)).decode("utf-8", "replace")

    def value(self, kind: int, lists: bool) -> Any:
        """A value; of a long list only its length, unless `lists`."""
        if form := _NUMBERS.get(kind):
            return self.number(form)
        if kind == _TEXT:
            return self.text()
        if kind != _LIST:
            raise GGUFError(f"it has a value of kind {kind}")
        kind, count = self.number("I"), self.count()
        if kind == _LIST:
            raise GGUFError("it has a list of lists")
        keep = lists or (count <= 1024 and kind != _TEXT)
        if form := _NUMBERS.get(kind):
            data = self.bytes(count * struct.calcsize(f"<{form}"))
            return list(struct.unpack(f"<{count}{form}", data)) if keep else count
        if kind != _TEXT:
            raise GGUFError(f"it has a list of kind {kind}")
        if keep:
            return [self.text() for _ in range(count)]
        self.skip_texts(count)
        return count

    def skip_texts(self, count: int) -> None:
        """Pass over a list of texts: half a million in some vocabularies."""
        length_of, data, at = struct.Struct("<Q").unpack_from, b"", 0
        for _ in range(count):
            if at + 8 > len(data):
                data, at = data[at:] + self.bytes(self._some(8 - len(data) + at)), 0
            at += 8 + length_of(data, at)[0]
            if at > len(data):
                if at - len(data) > _LONGEST_TEXT:
                    raise GGUFError("it has a text that is too long")
                self.bytes(at - len(data))
                data, at = b"", 0
        self._file.seek(at - len(data), 1)
        self.place += at - len(data)

    def _some(self, least: int) -> int:
        """As many bytes as are read at once, at least so many."""
        return max(least, min(1 << 16, self._size - self.place))


def _metadata(reader: _Reader, lists: bool = False) -> tuple[dict[str, Any], list[Tensor], int]:
    """The values by name, the tensors, and where their data begins."""
    if reader.bytes(4) != b"GGUF":
        raise GGUFError("it is no GGUF file")
    if (version := reader.number("I")) not in (2, 3):
        raise GGUFError(f"it is a GGUF file of version {version}")
    tensors, pairs = reader.count(), reader.count()
    values: dict[str, Any] = {}
    for _ in range(pairs):
        name = reader.text()
        values[name] = reader.value(reader.number("I"), lists)
    found = [*_tensors(reader, tensors)]
    alignment = _whole(values.get("general.alignment", 32)) or 32
    return values, found, -(-reader.place // alignment) * alignment


def _tensors(reader: _Reader, count: int) -> Iterator[Tensor]:
    for _ in range(count):
        name, dimensions = reader.text(), reader.number("I")
        if dimensions > 8:
            raise GGUFError(f"a tensor has {dimensions} dimensions")
        numbers = prod(reader.number("Q") for _ in range(dimensions))
        block, bytes_ = _BLOCKS.get(reader.number("I"), (1, None))
        size = None if bytes_ is None else numbers // block * bytes_
        yield Tensor(name, numbers, size, reader.number("Q"))
