"""Tasks about what is written otherwise in each place: prices, dates, and a sentence as JSON."""

from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal

from ..texts import Texts
from .making import Made, Place, both, entry, fill, joined
from .writing import as_typed, currency_of, plain_decimal, written_price


def price(own: Texts, place: Place) -> Made | None:
    """A local price, to be written as a plain number."""
    random = place.random()
    thousands = random.random() < 0.6  # so that both separators are asked for in most prices
    whole = random.randint(1001, 9899) if thousands else random.randint(11, 989)
    amount = whole + Decimal(random.randint(5, 95)) / 100
    sentence = random.randrange(100)
    from babel.numbers import get_currency_precision

    currency = currency_of(own.locale)
    unit = Decimal(1).scaleb(-get_currency_precision(currency))
    amount = amount.quantize(unit, ROUND_DOWN)

    def write(of: Texts) -> str | None:
        if of.price is None:
            return None
        written = written_price(amount, currency, of.locale)
        return joined(fill(entry(of.price.sentences, sentence), price=written), of.price.ask)

    return both(own, write, plain_decimal(amount))


def local_date(own: Texts, place: Place) -> Made | None:
    """A long local date, to be written in ISO 8601."""
    random = place.random()
    day = date(1950, 1, 1) + timedelta(days=random.randrange(365 * 75))
    sentence = random.randrange(100)

    def write(of: Texts) -> str | None:
        if of.date is None:
            return None
        from babel.dates import format_date

        written = as_typed(format_date(day, "long", locale=of.locale), of.locale)
        return joined(fill(entry(of.date.sentences, sentence), date=written), of.date.ask)

    return both(own, write, day.isoformat())


def json_object(own: Texts, place: Place) -> Made | None:
    """A sentence, to be written as a JSON object."""
    random = place.random()
    name, age, city = random.randrange(100), random.randint(25, 29), random.randrange(100)

    def write(of: Texts) -> str | None:
        if of.json_ is None:
            return None
        where = entry(of.cities, city).place
        sentence = fill(of.json_.sentence, name=entry(of.names, name), age=age, place=where)
        return joined(sentence, of.json_.ask)

    right = {"name": entry(own.names, name), "age": age, "city": entry(own.cities, city).name}
    return both(own, write, right)
