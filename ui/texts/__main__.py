"""Says which translations are no longer those of the English texts: `python -m ui.texts`."""

import sys

from . import EN, TRANSLATIONS

stale = {code: found for code, one in TRANSLATIONS.items() if (found := one.stale(EN))}
for code, keys in stale.items():
    print(f"ui/texts/{code}.json: the English has changed, and stands in place of", *keys)
sys.exit(bool(stale))
