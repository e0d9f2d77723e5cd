"""Thinking that a model writes into its answer between `<think>` and `</think>`."""

import re

_OPEN = re.compile(r"\s*<(think|thinking|thought|reasoning)>", re.IGNORECASE)
_TAGS = ("think", "thinking", "thought", "reasoning")
_LONGEST = len("</reasoning>")


class ThinkingSplitter:
    """Divides a text that comes in pieces into thinking and answer.

    Thinking stands at the start of a text only: a tag in the middle of an answer is the answer's.
    """

    def __init__(self) -> None:
        self._held = ""
        """Text that may be a part of a tag."""
        self._state = "start"
        self._close = ""

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
        if self._state == "start":
            found = _OPEN.match(self._held)
            if found:
                self._state, self._close = "thinking", f"</{found[1].lower()}>"
                self._held = self._held[found.end() :].lstrip("\n")
            elif not _may_open(self._held):
                self._state = "answer"
                return "", self._release()
            else:
                return "", ""
        at = self._held.lower().find(self._close)
        if at >= 0:
            thinking = self._held[:at].rstrip()
            rest = self._held[at + len(self._close) :]
            self._held, self._state = rest, "gap"
        elif self._state == "thinking":
            keep = _LONGEST - 1
            thinking, self._held = self._held[:-keep], self._held[-keep:]
            return thinking, ""
        if self._state == "gap":  # the empty lines between thinking and answer
            self._held = self._held.lstrip("\n ")
            if self._held:
                self._state = "answer"
                return thinking, self._release()
        return thinking, ""

    def end(self) -> tuple[str, str]:
        """What is still held: thinking that was cut off, or the start of an answer."""
        held = self._release()
        return (held, "") if self._state == "thinking" else ("", held)

    def _release(self) -> str:
        held, self._held = self._held, ""
        return held


def _may_open(text: str) -> bool:
    """Whether a text may become an opening tag."""
    rest = text.lstrip().lower()
    return any(f"<{tag}>".startswith(rest) for tag in _TAGS)
