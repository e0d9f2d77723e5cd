"""Which way a text is written: by all its letters, not by its first one."""

import re

_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_LTR = re.compile("[A-Za-z\u00c0-\u024f\u0370-\u052f\u0900-\u109f\u3040-\ud7af]")
_CODE = re.compile("```.*?(?:```|$)|`[^`\n]*`", re.DOTALL)
_LOOKED_AT = 4000
"""Characters that are enough to tell."""


def direction(text: str) -> str:
    """Return `rtl` or `ltr`, or nothing for a text without letters; code does not count.

    A third of the letters is enough for `rtl`: Latin names stand in Arabic and Hebrew everywhere,
    while a text in Latin letters quotes a word or two.
    """
    if text.isascii():
        return "ltr" if _LTR.search(text) else ""
    words = _CODE.sub(" ", text[:_LOOKED_AT])
    rtl, ltr = len(_RTL.findall(words)), len(_LTR.findall(words))
    if not rtl and not ltr:
        return ""
    return "rtl" if 2 * rtl >= ltr else "ltr"
