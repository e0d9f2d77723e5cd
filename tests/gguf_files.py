"""Writes small GGUF files, whole and broken ones, without the package for it."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CHAT = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
VALUES: dict[str, Any] = {
    "general.architecture": "phi3",
    "general.name": "Mine",
    "general.file_type": 2,
    "phi3.context_length": 4096,
    "phi3.embedding_length": 96,
    "phi3.block_count": 2,
    "phi3.attention.head_count": 3,
    "phi3.attention.head_count_kv": 1,
    "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "<|end|>", "\n\n", "b"],
    "tokenizer.ggml.token_type": [2, 3, 3, 4, 4, 3],
    "tokenizer.chat_template": CHAT,
}
"""What a small model that chats says of itself."""
TENSORS = (("token_embd.weight", (64, 6), 0), ("blk.0.ffn_up.weight", (64, 32), 2))
"""Names, shapes and types: one in float32, one in blocks of 4 bits."""
_SIZES = {0: (1, 4), 1: (1, 2), 2: (32, 18)}


def write(
    file: Path,
    values: Mapping[str, Any] = VALUES,
    tensors: Sequence[tuple[str, tuple[int, ...], int]] = TENSORS,
    *,
    version: int = 3,
    fill: bytes = b"x",
    **more: Any,
) -> Path:
    """Write a file; `more` are further values, with `__` for dots, `None` takes one out."""
    values = dict(values) | {name.replace("__", "."): one for name, one in more.items()}
    values = {name: one for name, one in values.items() if one is not None}
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values))
    for name, value in values.items():
        kind, data = _value(value)
        head += _text(name) + struct.pack("<I", kind) + data
    offset = 0
    for name, shape, kind in tensors:
        head += _text(name) + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", kind, offset)
        numbers, (block, size) = 1, _SIZES[kind]
        for one in shape:
            numbers *= one
        offset += -(-(numbers // block * size) // 32) * 32
    head += b"\0" * (-len(head) % 32)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(head + (fill * offset)[:offset])
    return file


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, _text(value)
    kinds = [_value(one) for one in value]
    kind = kinds[0][0] if kinds else 4
    return 9, struct.pack("<IQ", kind, len(value)) + b"".join(data for _, data in kinds)
