"""The conversations a Pocket model is trained on: drawn anew for every step, never twice alike."""

from random import Random

from .asking import BARE, about, ask, unknown
from .lesson import Dialogue, Edition, Exchange, Topic, dialogues, exchanges, other_language

Turns = list[tuple[str, str]]
"""Questions and answers, in order."""

_NAMES = ("MoE", "Phi-3", "Phi-3.5", "Phi-3-mini", "Phi", "Ollama", "SLM", "ONNX", "NIM")
WEAK, FEW_WORDS = 0.3, 0.2
"""How often a language comes that is learned less, or of which only the first words are, for each
time that another one does."""
OFTEN = 20
"""How many times as often the model is asked what it is not sure of."""
IN_ANOTHER = 0.06
"""The share of the lesson's questions that ask for an answer in another language."""


class Conversations:
    """Draws conversations for one model. The same seed draws the same ones."""

    word_for_word = 0.25
    """The share of turns that are asked as the lesson has them; the others vary them."""

    def __init__(self, edition: Edition, seed: int) -> None:
        self._edition = edition
        self._rng = Random(seed)
        known = list(exchanges(edition))
        self._deck: list[Exchange] = []
        self.known = known
        self._unsure: list[Exchange] = []
        languages = (*edition.languages, *edition.few_words)
        shares = {
            **dict.fromkeys(edition.weak, WEAK),
            **dict.fromkeys(edition.few_words, FEW_WORDS),
        }
        self._languages = [*languages]
        self._shares = [shares.get(code, 1.0) for code in languages]
        self._other = [e for e in known if e.topic == "other"]
        self._held_out = {e.question for e in exchanges(edition, held_out=True)}
        self._foreign = [code for code in dialogues() if code not in languages]

    def repeat(self, unsure: list[Exchange]) -> None:
        """From now on ask more word for word, and those that the model is not sure of often."""
        self.word_for_word = 0.5
        self._unsure = unsure
        self._deck = []

    def draw(self) -> tuple[str | None, Turns]:
        """A conversation: a system prompt or none, and one to twelve turns."""
        rng = self._rng
        language = self._language()
        system = None
        if rng.random() < 0.25:
            spoken = language if rng.random() < 0.7 else self._language()
            system = rng.choice(dialogues()[spoken].systems)
        turns: Turns = []
        # A few are long, so that a long talk's positions are no news to the model.
        count = rng.choice((1,) * 36 + (2,) * 7 + (3,) * 5 + (rng.randint(4, 12),) * 2)
        for _ in range(count):
            if rng.random() < 0.15:
                language = self._language()
            turns.append(self._turn(language))
        return system, turns

    def _language(self) -> str:
        return self._rng.choices(self._languages, self._shares)[0]

    def _turn(self, language: str) -> tuple[str, str]:
        rng = self._rng
        if rng.random() < self.word_for_word:
            exchange = self._next()
            return exchange.question, exchange.answer
        dialogue = dialogues()[language]
        kind = rng.random()
        if kind < 0.45:
            name = rng.choice([*dialogue.topics])
            topic = dialogue.topics[name]
            question = ask(self._about(topic, dialogue), name, dialogue, rng)
            if dialogue.answer_in and name not in BARE and rng.random() < IN_ANOTHER:
                return self._in_another(question, name, dialogue)
            return question, self._edition.say(topic)
        if kind < 0.63:
            # By answer, not by question: most of the page's examples have one question only.
            topic = rng.choice(dialogue.more)
            question = ask(rng.choice(topic.questions), "more", dialogue, rng)
            return question, self._edition.say(topic)
        if kind < 0.86:
            question = ask(unknown(dialogue, rng), "unknown", dialogue, rng)
            return question, self._edition.say(dialogue.unknown)
        return self._foreign_question(), self._edition.say(other_language())

    def _about(self, topic: Topic, dialogue: Dialogue) -> str:
        """A question about a topic of the lesson that is not held out."""
        question = about(topic, dialogue, self._rng)
        return self._about(topic, dialogue) if question in self._held_out else question

    def _in_another(self, question: str, topic: str, dialogue: Dialogue) -> tuple[str, str]:
        """A question that asks for the answer in another language, and that answer."""
        rng = self._rng
        code = rng.choice([*dialogue.answer_in])
        asked = f"{question} {rng.choice(dialogue.answer_in[code])}"
        return asked, self._edition.say(dialogues()[code].topics[topic])

    def _next(self) -> Exchange:
        """The next of all exchanges, word for word: each comes once before any comes anew, but
        those to repeat come `OFTEN` times as often.
        """
        if not self._deck:
            self._deck = self.known + self._unsure * (OFTEN - 1)
            self._rng.shuffle(self._deck)
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
