"""Draws the pictures of the examples into their folder, or into another."""

import sys
from pathlib import Path

from playground.examples import vision

from . import draw

draw(Path(sys.argv[1]) if sys.argv[1:] else Path(vision.__file__).parent / "pictures")
