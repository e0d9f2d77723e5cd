"""What a message says and what its model thought, in the shapes that servers have for both."""

from collections.abc import Mapping
from typing import Any, cast

from .json_values import parse_mapping

_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_text")
"""What a model thinks: llama.cpp, SGLang, LM Studio and DeepSeek have the first name, vLLM (since
2026) and OpenRouter the second, Ollama the third in its own API, GitHub's Copilot the last."""
_THOUGHT_PARTS = ("reasoning_details", "thinking_blocks")
"""The same once more in parts, of OpenRouter and LiteLLM: read where no plain text goes with it."""
_MAX_DEPTH = 5
"""Levels of a content that are read."""


def message_texts(message: Mapping[str, Any]) -> tuple[str, str]:
    """The text of a message or a piece of one, and what its model thought.

    Either is a string or a list of parts; Mistral's parts hold both. A refusal is the answer.
    """
    content = message.get("content") or message.get("text") or message.get("refusal")
    text, thinking = parts_of(content) if content else ("", "")
    for name in message.keys() & _THOUGHTS or message.keys() & _THOUGHT_PARTS:
        if thought := "".join(parts_of(message[name])):
            return text, thought + thinking
    return text, thinking


def parts_of(content: object, depth: int = 0) -> tuple[str, str]:
    """The text and the thinking of a content: a string, a part, or a list of those."""
    if isinstance(content, str):
        return content, ""
    if depth > _MAX_DEPTH:
        return "", ""
    if isinstance(content, list):
        both = [parts_of(part, depth + 1) for part in cast("list[object]", content)]
        return "".join(text for text, _ in both), "".join(thinking for _, thinking in both)
    part = parse_mapping(content)
    for name in ("text", "content"):
        if words := "".join(parts_of(part.get(name), depth + 1)):
            is_thought = str(part.get("type")).startswith(("thinking", "reasoning"))
            return ("", words) if is_thought else (words, "")
    told = (part.get(name) for name in ("thinking", "summary"))
    return "", next((words for one in told if (words := "".join(parts_of(one, depth + 1)))), "")
