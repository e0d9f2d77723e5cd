"""The parts of a form that is sent: few, and each of them a file."""

from email.message import Message

from .refusal import Refusal

MOST = 64
"""Files in one upload. Gradio would open a thousand, and keep what is no file in memory."""
_HEAD = 8192
"""Bytes of a part's headers."""


class Parts:
    """Looks for the beginnings of parts while an upload passes by, in pieces of any size."""

    def __init__(self, content_type: str) -> None:
        """Raises `Refusal` for what is no form with parts."""
        header = Message()
        header["content-type"] = content_type
        boundary = header.get_boundary() or ""
        form = header.get_content_type() == "multipart/form-data"
        if not (form and boundary.isascii() and 0 < len(boundary) <= 200):
            raise Refusal(415, "This page takes files here, in a form.")
        self._mark = b"--" + boundary.encode()
        self._rest = b""
        self._count = 0

    def feed(self, piece: bytes) -> None:
        """Look at the next piece. Raises `Refusal` for a part too many, or one that is no file."""
        text, at = self._rest + piece, 0
        while (at := text.find(self._mark, at)) >= 0:
            head, found, _ = text[at : at + _HEAD].partition(b"\r\n\r\n")
            if text[at + len(self._mark) :][:2] == b"--":  # the last mark
                at += len(self._mark)
                continue
            if not found and len(text) - at < _HEAD:  # the rest of its headers is still to come
                self._rest = text[at:]
                return
            self._count += 1
            if self._count > MOST:
                raise Refusal(400, f"At most {MOST} files can be sent at once.")
            if b"filename" not in head.lower():
                raise Refusal(400, "This page takes files here, and nothing else.")
            at += len(self._mark)
        self._rest = text[max(0, len(text) - len(self._mark) - 1) :]
