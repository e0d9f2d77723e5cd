"""Check of an upload's multipart form: few parts, each of them a file."""

from email.message import Message

from .refusal import Refusal

MAX_FILES = 64
"""Files in one upload. Gradio would open a thousand, and keep other fields in memory."""
_MAX_HEADERS = 8192
"""Bytes that a part's headers may have."""


class MultipartCheck:
    """Checks the headers of each part while an upload is received, in pieces of any size."""

    def __init__(self, content_type: str) -> None:
        """Raises `Refusal` if the content type is not a multipart form."""
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
        """Check the next piece. Raises `Refusal` for too many parts, or one that is not a file."""
        text, at = self._rest + piece, 0
        while (at := text.find(self._mark, at)) >= 0:
            head, found, _ = text[at : at + _MAX_HEADERS].partition(b"\r\n\r\n")
            if text[at + len(self._mark) :][:2] == b"--":  # the last mark
                at += len(self._mark)
                continue
            if not found and len(text) - at < _MAX_HEADERS:  # its headers are not complete yet
                self._rest = text[at:]
                return
            self._count += 1
            if self._count > MAX_FILES:
                raise Refusal(400, f"At most {MAX_FILES} files can be sent at once.")
            if b"filename" not in head.lower():
                raise Refusal(400, "This page takes files here, and nothing else.")
            at += len(self._mark)
        self._rest = text[max(0, len(text) - len(self._mark) - 1) :]
