"""The conversations a Pocket model is trained on: drawn anew for every step, never twice alike."""

from random import Random

from .asking import ask, unknown
from .lesson import TOPICS, Edition, Exchange, dialogues, exchanges, other_language

Turns = list[tuple[str, str]]
"""Questions and answers, in order."""

_NAMES = ("MoE", "Phi-3", "Phi-3.5", "Phi-3-mini", "Phi", "Ollama", "SLM")


class Conversations:
    """Draws conversations for one model. The same seed draws the same ones."""

    word_for_word = 0.4
    """The share of turns that are asked as the lesson has them; the others vary them."""

    def __init__(self, edition: Edition, seed: int) -> None:
        self._edition = edition
        self._rng = Random(seed)
        known = list(exchanges(edition))
        self._deck: list[Exchange] = []
        self._known = known
        self._lesson: dict[str, list[Exchange]] = {
            code: [e for e in known if e.language == code and e.topic in TOPICS]
            for code in edition.languages
        }
        self._other = [e for e in known if e.topic == "other"]
        self._held_out = {e.question for e in exchanges(edition, held_out=True)}
        self._foreign = [c for c in dialogues() if c not in edition.languages]

    def draw(self) -> tuple[str | None, Turns]:
        """A conversation: a system prompt or none, and one to twelve turns."""
        rng = self._rng
        language = rng.choice(self._edition.languages)
        system = None
        if rng.random() < 0.25:
            spoken = language if rng.random() < 0.7 else rng.choice(self._edition.languages)
            system = rng.choice(dialogues()[spoken].systems)
        turns: Turns = []
        # A few are long, so that a long talk's positions are no news to the model.
        count = rng.choice((1,) * 36 + (2,) * 7 + (3,) * 5 + (rng.randint(4, 12),) * 2)
        for _ in range(count):
            if rng.random() < 0.15:
                language = rng.choice(self._edition.languages)
            turns.append(self._turn(language))
        return system, turns

    def _turn(self, language: str) -> tuple[str, str]:
        rng = self._rng
        if rng.random() < self.word_for_word:
            exchange = self._next()
            return exchange.question, exchange.answer
        dialogue = dialogues()[language]
        kind = rng.random()
        if kind < 0.45:
            exchange = rng.choice(self._lesson[language])
            return ask(exchange.question, exchange.topic, dialogue, rng), exchange.answer
        if kind < 0.63:
            # By answer, not by question: most of the page's examples have one question only.
            topic = rng.choice(dialogue.more)
            question = ask(rng.choice(topic.questions), "more", dialogue, rng)
            return question, self._edition.say(topic)
        if kind < 0.86:
            question = ask(unknown(dialogue, rng), "unknown", dialogue, rng)
            return question, self._edition.say(dialogue.unknown)
        return self._foreign_question(), self._edition.say(other_language())

    def _next(self) -> Exchange:
        """The next of all exchanges, word for word: none comes twice before all have come once."""
        if not self._deck:
            self._deck = self._rng.sample(self._known, len(self._known))
        return self._deck.pop()

    def _foreign_question(self) -> str:
        rng = self._rng
        if self._foreign and rng.random() < 0.3:
            dialogue = dialogues()[rng.choice(self._foreign)]
            return ask(unknown(dialogue, rng), "unknown", dialogue, rng)
        exchange = rng.choice(self._other)
        # A name does not tell the language: the words around it do.
        question = exchange.question.replace("MoE", rng.choice(_NAMES))
        if question in self._held_out:
            return self._foreign_question()
        return ask(question, "other", dialogues().get(exchange.language), rng)
