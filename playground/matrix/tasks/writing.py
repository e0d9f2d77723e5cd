"""Prices and dates as they are written in a place, and numbers as programs write them."""

import re
from decimal import Decimal

_FOUR_DIGITS_UNGROUPED = frozenset(("es", "es_ES", "pl", "pl_PL", "pt", "pt_PT"))
"""Where CLDR's `minimumGroupingDigits` is 2, which Babel does not know: 1234, but 12.345."""
_DIRECTION_MARKS = re.compile("[\u200e\u200f\u061c]")
_ARABIC_DIGITS = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


def plain_decimal(amount: Decimal) -> str:
    """A number without exponent, separators and zeros at its end: `1234.5`."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def currency_of(locale: str) -> str:
    """The currency that is used where a locale is spoken, by the likeliest country if it has none.

    `de_DE` has `EUR`.
    """
    from babel import Locale
    from babel.core import get_global
    from babel.numbers import get_territory_currencies

    parsed = Locale.parse(locale)
    if parsed.territory is None:
        parsed = Locale.parse(get_global("likely_subtags")[str(parsed)])
    return get_territory_currencies(parsed.territory or "")[0]


def written_price(amount: Decimal, currency: str, locale: str) -> str:
    """A price as it is written there."""
    from babel.numbers import format_currency

    ungrouped = locale in _FOUR_DIGITS_UNGROUPED and amount < 10_000
    written = format_currency(
        amount,
        currency,
        locale=locale,
        group_separator=not ungrouped,
        numbering_system="default",
    )
    return as_typed(written, locale)


def as_typed(written: str, locale: str) -> str:
    """What Babel writes, in the digits of the locale, which Babel leaves out.

    Without the invisible marks of direction: nobody types them.
    """
    from babel import Locale

    written = _DIRECTION_MARKS.sub("", written)
    if Locale.parse(locale).default_numbering_system == "arab":
        return written.translate(_ARABIC_DIGITS)
    return written
