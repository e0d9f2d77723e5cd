"""Errors that are made for a reader."""


class ReaderError(Exception):
    """Its text is for the reader: one sentence that says why, and what to do."""
