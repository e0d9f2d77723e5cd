"""Thinking that a model writes into its answer between marks, such as `<think>` and `</think>`."""

import re
from collections.abc import Mapping

_FINAL = "<|start|>assistant<|channel|>final<|message|>"
_ENDS: Mapping[str, tuple[str, ...]] = {
    **{
        f"<{tag}>": (f"</{tag}>",)
        for tag in ("think", "thinking", "thought", "reasoning", "seed:think")
    },
    "[think]": ("[/think]",),  # Magistral
    "<|begin_of_thought|>": ("<|end_of_thought|>",),
    "<|channel>thought": ("<channel|>",),  # Gemma
    # gpt-oss, where its server does not divide its channels.
    "<|channel|>analysis<|message|>": (f"<|end|>{_FINAL}", _FINAL),
}
"""The marks before which a thought ends, by the one that it begins with; in lower case."""
_OPEN = re.compile(
    rf"\s*({'|'.join(map(re.escape, _ENDS))}|<(think|thinking) [^<>\n]{{0,80}}>)\n*", re.IGNORECASE
)
"""A mark at the start; a tag may have attributes, such as the time."""
_LONGEST_TAG = 100
_CLOSE = re.compile(r"\s*</think(ing)?>", re.IGNORECASE)


class ThinkingSplitter:
    """Divides a text that comes in pieces into thinking and answer.

    Thinking stands at the start of a text only: a tag in the middle of an answer is the answer's.
    """

    def __init__(self) -> None:
        self._held = ""
        """Text that may be a part of a mark."""
        self._state = "start"
        self._end, self._keep = _CLOSE, 0

    @property
    def thinks(self) -> bool:
        """Whether what is read now is thinking."""
        return self._state == "thinking"

    def feed(self, text: str) -> tuple[str, str]:
        """What this piece adds to the thinking and to the answer."""
        if self._state == "answer":
            return "", text
        self._held += text
        thinking = ""
        if self._state == "start" and not self._open():
            if _may_open(self._held):
                return "", ""
            self._state = "answer"
            return "", self._release()
        if self._state == "thinking":
            found = self._end.search(self._held)
            if not found:
                thinking, self._held = self._held[: -self._keep], self._held[-self._keep :]
                return thinking, ""
            thinking = self._held[: found.start()].rstrip()
            self._held, self._state = self._held[found.end() :], "gap"
        # The empty lines between thinking and answer.
        self._held = self._held.lstrip("\n ")
        if self._held:
            self._state = "answer"
            return thinking, self._release()
        return thinking, ""

    def end(self) -> tuple[str, str]:
        """What is still held: thinking that was cut off, or the start of an answer."""
        held = self._release()
        return (held, "") if self._state == "thinking" else ("", held)

    def _open(self) -> bool:
        """Read a mark at the start: of thinking, or only its end after thinking that was apart."""
        if found := _OPEN.match(self._held):
            ends = _ENDS[f"<{found[2]}>".lower() if found[2] else found[1].lower()]
            self._end = re.compile("|".join(map(re.escape, ends)), re.IGNORECASE)
            self._keep, self._state = max(map(len, ends)) - 1, "thinking"
        elif found := _CLOSE.match(self._held):
            self._state = "gap"
        else:
            return False
        self._held = self._held[found.end() :]
        return True

    def skip_gap(self) -> None:
        """The empty lines that come next are no part of the answer."""
        self._state = "gap"

    def _release(self) -> str:
        held, self._held = self._held, ""
        return held


def _may_open(text: str) -> bool:
    """Whether a text may become a mark that thinking begins with, or ends."""
    rest = text.lstrip().lower()
    if len(rest) > _LONGEST_TAG:
        return False
    marks = (*_ENDS, "</think>", "</thinking>")
    return any(mark.startswith(rest) for mark in marks) or (
        rest.startswith(("<think ", "<thinking ")) and not re.search(r"[>\n]", rest)
    )


def ended_unopened(text: str) -> tuple[str, str] | None:
    """Thinking and answer of a text in which thinking ends that never began; `None` for others.

    The chat template of DeepSeek-R1 and its relatives writes the opening tag itself, so that a
    server without a parser for it sends the end alone. It stands on a line of its own, or begins
    one; in code, or after an opening tag, it is the answer's.
    """
    found = _UNOPENED.search(text)
    if not found or "```" in text[: found.start()] or _OPENED.search(text[: found.start()]):
        return None
    return text[: found.start()].strip(), text[found.end() :]


_UNOPENED = re.compile(r"\s*^</think(ing)?>\s*", re.IGNORECASE | re.MULTILINE)
_OPENED = re.compile(r"<think", re.IGNORECASE)
