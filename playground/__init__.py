"""Comparison of models: timing, records, languages, limits. No Gradio, no HTTP, no engine."""

VERSION = "0.2.0"
"""That of `pyproject.toml`, for what is exported: nothing is installed that could tell it."""
