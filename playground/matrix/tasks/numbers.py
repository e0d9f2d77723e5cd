"""Tasks about numbers: word problems, yes or no, lists, order, and numbers in words."""

from random import Random

from ..texts import Texts
from .making import Made, Place, both, english_texts, entry, fill, joined, listed

WEEKDAYS = frozenset(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"))


def sum_one(own: Texts, place: Place) -> Made | None:
    """A word problem of one step."""
    random = place.random()
    form = random.choice(("add", "take", "times"))
    a, b = random.randint(5, 10), random.randint(5, 10)
    if form == "take":
        a = random.randint(6, 10)
        b = random.randint(5, a - 1)
    name, thing = random.randrange(100), random.randrange(100)
    right = {"add": a + b, "take": a - b, "times": a * b}[form]

    def write(of: Texts) -> str | None:
        if (table := of.sum_one) is None:
            return None
        template = {"add": table.add, "take": table.take, "times": table.times}[form]
        sentence = fill(
            template, a=a, b=b, name=entry(of.names, name), thing=entry(of.things, thing)
        )
        return joined(sentence, table.ask)

    return both(own, write, right)


def sum_two(own: Texts, place: Place) -> Made | None:
    """A word problem of two steps."""
    random = place.random()
    form = random.choice(("add_take", "times_add", "add_times"))
    a, b, c = (random.randint(5, 10) for _ in range(3))
    name, thing = random.randrange(100), random.randrange(100)
    right = {"add_take": a + b - c, "times_add": a * b + c, "add_times": (a + b) * c}[form]

    def write(of: Texts) -> str | None:
        if (table := of.sum_two) is None:
            return None
        template = {
            "add_take": table.add_take,
            "times_add": table.times_add,
            "add_times": table.add_times,
        }[form]
        sentence = fill(
            template, a=a, b=b, c=c, name=entry(of.names, name), thing=entry(of.things, thing)
        )
        return joined(sentence, table.ask)

    return both(own, write, right)


def yes_no(own: Texts, place: Place) -> Made | None:
    """A fact about numbers, true in one of two items."""
    # Of two items in a row one is true: who always says yes is right in half of them.
    pair, second = divmod(place.index, 2)
    form = ("more", "even", "sum")[pair % 3]
    truth = Random(f"{place.seed}/yes_no/pair/{pair}").random() < 0.5
    truth = not truth if second else truth
    random = place.random()
    x, y = sorted(random.sample(range(2, 100), 2), reverse=truth)
    z = 0
    if form == "even":
        x = 2 * random.randint(1, 49) + (0 if truth else 1)
    elif form == "sum":
        x, y = random.randint(2, 50), random.randint(2, 49)
        z = x + y + (0 if truth else random.choice((-2, -1, 1, 2)))

    def write(of: Texts) -> str | None:
        if (table := of.yes_no) is None:
            return None
        template = {"more": table.more, "even": table.even, "sum": table.sum}[form]
        return joined(fill(template, x=x, y=y, z=z), table.ask)

    return both(own, write, truth)


def count(own: Texts, place: Place) -> Made | None:
    """Words of a list, to be counted."""
    # Weekdays are two words in some languages, and then there would be two right answers.
    english = [word for word in english_texts().words if word not in WEEKDAYS]
    random = place.random()
    chosen = random.sample(english, random.randint(3, 9))

    def write(of: Texts, code: str = place.code) -> str | None:
        if of.count is None or any(word not in of.words for word in chosen):
            return None
        return fill(of.count.ask, list=listed([of.words[word][0] for word in chosen], code))

    return both(own, write, len(chosen))


def order(own: Texts, place: Place) -> Made | None:
    """Numbers, to be put in order."""
    random = place.random()
    numbers = random.sample(range(10, 100), 5)
    while numbers == sorted(numbers):
        random.shuffle(numbers)
    right = tuple(sorted(numbers))

    def write(of: Texts, code: str = place.code) -> str | None:
        if of.order is None:
            return None
        return fill(of.order.ask, numbers=listed([str(number) for number in numbers], code))

    return both(own, write, right)


def digits(own: Texts, place: Place) -> Made | None:
    """A number in words, to be written in digits."""
    number = place.in_turn(100)
    if number is None:
        return None

    def write(of: Texts) -> str | None:
        if of.digits is None or number >= len(of.number_words):
            return None
        return fill(of.digits.ask, words=of.number_words[number])

    return both(own, write, number)
