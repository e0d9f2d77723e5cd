"""Sets of others, on request: none is shipped, each is fetched from its own place.

The fetching itself goes through `huggingface_hub` and was not run where this was written, for want
of a network: files of the same layout, made up for the tests, stand for it. Layouts and revisions
are those that the Hub showed; BenchMAX's names of fields are a guess that says so if it fails.
"""

from .belebele import BELEBELE
from .benchmax import BENCHMAX
from .declaration import Row, SetOfOthers
from .mgsm import MGSM
from .reading import SetError, items_of

__all__ = ["SETS", "Row", "SetError", "SetOfOthers", "items_of"]

SETS = {one.name: one for one in (BELEBELE, MGSM, BENCHMAX)}
"""By name."""
