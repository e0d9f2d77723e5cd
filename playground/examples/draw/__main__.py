"""Draws the pictures of the examples into their folder, or into another."""

import sys
from pathlib import Path

from . import draw

draw(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[1] / "pictures")
