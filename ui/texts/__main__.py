"""Says which translations are not those of today's English, and which are missing.

`python -m ui.texts`; it fails for the first kind only: a new sentence is English until it has one.
"""

import sys

from backends import Sentence

from . import EN, TRANSLATIONS
from .spoken import sentences_of_source, texts_of_source

said = texts_of_source()
stale = {
    code: found
    for code, one in TRANSLATIONS.items()
    if (found := [*one.stale(EN), *(each for each in one.sentences if each not in said)])
}
for code, keys in stale.items():
    print(
        f"ui/texts/{code}.json: the English has changed, and stands in place of", *keys, sep="\n  "
    )
known = set.intersection(*({*one.sentences} for one in TRANSLATIONS.values()))
missing = [one for one in sentences_of_source() - known if not Sentence(one).is_frame]
if "--missing" in sys.argv:
    print("Sentences without a translation:", *sorted(missing), sep="\n  ")
sys.exit(bool(stale))
