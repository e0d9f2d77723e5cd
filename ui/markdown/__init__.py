"""Markdown of models' answers as HTML that a page may show: no word is lost, nothing is run."""

from .growing import Block, GrowingMarkdown, render

__all__ = ["Block", "GrowingMarkdown", "render"]
