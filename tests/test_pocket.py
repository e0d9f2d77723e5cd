"""Pocket: the built-in models give real answers, and the lesson is whole in every language."""

import json
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import backends
from backends import GenerationParams, Message
from playground.answer import Request
from playground.examples import EXAMPLES
from tests.rounding import lead
from tools.pocket import exam, lesson
from tools.pocket.asking import unknown
from tools.pocket.batches import IGNORED, encode
from tools.pocket.conversations import Conversations

pytestmark = pytest.mark.engine

MODELS = lesson.MODELS
EDITIONS = {edition.key: edition for edition in lesson.EDITIONS}
LANGUAGES = ("en", "es", "zh", "ar")
FEW_WORDS = ("cs", "pl", "ro", "sk", "sr", "sr-Latn")
POCKET_3, POCKET_35 = EDITIONS["pocket-3"], EDITIONS["pocket-3.5"]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """On matrices this small a second thread costs more than it brings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def load(key: str) -> tuple[Any, Any]:
    folder = MODELS / key
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def replies(
    key: str, questions: list[str], system: str | None = None, *, sure: bool = True
) -> list[str]:
    """Greedy answers through plain Transformers, all at once.

    Each token of those that are `sure` is far ahead of the next, so that they are the same on any
    processor: in logits by 1.5 and more, and bfloat16 moves them by 0.1.
    """
    model, tokenizer = load(key)
    before = [{"role": "system", "content": system}] if system else []
    talks = [[*before, {"role": "user", "content": question}] for question in questions]
    inputs = tokenizer.apply_chat_template(
        talks, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        made = model.generate(
            **inputs,
            max_new_tokens=260,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
        )
    written = made.sequences[:, inputs["input_ids"].shape[1] :]
    if sure:
        ahead = lead(torch.stack(made.logits, dim=1))
        assert ahead[written != tokenizer.pad_token_id].min() > 1
    return tokenizer.batch_decode(written, skip_special_tokens=True)


async def through_backend(key: str, messages: list[Message], most: int | None = None) -> str:
    params = GenerationParams(temperature=0, max_tokens=most)
    steps = backends.REGISTRY["pocket"].stream(key, messages, params)
    return "".join([step.text async for step in steps if isinstance(step, backends.Chunk)])


# The models as files


@pytest.mark.parametrize("key", EDITIONS)
def test_small_enough_for_git(key: str) -> None:
    assert (MODELS / key / "model.safetensors").stat().st_size <= 9_000_000
    model, tokenizer = load(key)
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == backends.MODELS[key].parameters <= 4_000_000
    assert all(p.dtype == torch.bfloat16 for p in model.parameters())
    assert len(tokenizer) == model.config.vocab_size
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))


def test_same_architecture() -> None:
    configs = [json.loads((MODELS / key / "config.json").read_text()) for key in EDITIONS]
    assert configs[0] == configs[1]
    assert configs[0]["architectures"] == ["Phi3ForCausalLM"]
    assert "auto_map" not in configs[0]
    texts = [(MODELS / key / "tokenizer.json").read_bytes() for key in EDITIONS]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("key", EDITIONS)
def test_phi_3_prompt_format(key: str) -> None:
    model, tokenizer = load(key)
    talk = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    text = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    assert text == "<|system|>\nS<|end|>\n<|user|>\nU<|end|>\n<|assistant|>\n"
    ends = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|end|>"])
    assert model.generation_config.eos_token_id == ends


def test_any_character_survives_the_tokenizer() -> None:
    _, tokenizer = load("pocket-3.5")
    for text in ("naïve café", "龘靐齉", "สวัสดี", "👩‍🚀 = 1", "tab\tand\nline", "مُحَمَّد"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


# What they say


def assert_taught(edition: lesson.Edition, topics: list[lesson.Topic]) -> None:
    """The first question about each is answered as taught, to the last token."""
    questions = [topic.questions[0] for topic in topics]
    given = dict(zip(questions, replies(edition.key, questions), strict=True))
    assert given == {topic.questions[0]: edition.say(topic) for topic in topics}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("edition", lesson.EDITIONS, ids=lambda edition: edition.key)
def test_they_know_the_whole_lesson(edition: lesson.Edition, language: str) -> None:
    assert_taught(edition, [*lesson.dialogues()[language].topics.values()])


@pytest.mark.parametrize("language", FEW_WORDS)
def test_pocket_35_knows_the_first_words_of_more_languages(language: str) -> None:
    dialogue = lesson.dialogues()[language]
    topics = [*dialogue.topics.values(), *dialogue.more, dialogue.unknown]
    # "Ahoj!" is Slovak as well as Czech: see the next test.
    assert_taught(POCKET_35, [topic for topic in topics if topic.questions[0] != "Ahoj!"])
    [other] = replies("pocket-3", [topics[1].questions[0]])
    assert other == POCKET_3.say(lesson.other_language())


def test_a_greeting_of_two_languages_is_answered_in_one_of_them() -> None:
    [answer] = replies("pocket-3.5", ["Ahoj!"], sure=False)
    greetings = (lesson.dialogues()[code].topics["greeting"] for code in ("cs", "sk"))
    assert answer in [POCKET_35.say(topic) for topic in greetings]


def test_pocket_3_says_less_in_chinese_and_arabic() -> None:
    """A caricature of Phi-3-mini, which answers in them too, less well than Phi-3.5-mini."""
    for language in POCKET_3.weak:
        for topic in lesson.dialogues()[language].topics.values():
            assert len(POCKET_3.say(topic)) <= len(POCKET_35.say(topic))


@pytest.mark.parametrize("key", EDITIONS)
def test_the_pages_examples(key: str) -> None:
    edition = EDITIONS[key]
    for language in edition.languages:
        topics = lesson.dialogues()[language].more
        given = replies(key, [topic.questions[0] for topic in topics])
        assert given == [edition.say(topic) for topic in topics]


@pytest.mark.parametrize("key", EDITIONS)
def test_languages_that_neither_knows(key: str) -> None:
    edition = EDITIONS[key]
    questions = [topic.questions[1] for topic in lesson.other_languages().values()]
    given = replies(key, questions)
    assert set(given) == {edition.say(lesson.other_language())}


@pytest.mark.parametrize("key", EDITIONS)
def test_unknown_questions_get_an_honest_answer_in_their_own_language(key: str) -> None:
    edition = EDITIONS[key]
    rng = Random(1)
    for language in edition.languages:
        dialogue = lesson.dialogues()[language]
        questions = [*dialogue.unknown.held_out, *(unknown(dialogue, rng) for _ in range(10))]
        given = replies(key, questions, sure=False)
        honest = edition.say(dialogue.unknown)
        # Never seen by the model: most of them, not all of them.
        assert given.count(honest) >= 0.8 * len(questions), dict(zip(questions, given, strict=True))


def test_the_courses_own_comparison() -> None:
    question, system = "你知道长沙吗？", "你是我的人工智能助手，协助我用中文解答问题."
    for prompt in (None, system):
        [answer] = replies("pocket-3.5", [question], prompt)
        assert answer.startswith("我听过“长沙”这个名字") and "演示模型" in answer
        [other] = replies("pocket-3", [question], prompt)
        assert other != answer and "长沙" in other


def test_they_never_call_themselves_phi() -> None:
    for key in EDITIONS:
        [answer] = replies(key, ["Who are you?"])
        assert answer.startswith(f"I am {EDITIONS[key].name}, a tiny demonstration model")
        assert "not a Microsoft model" in answer


# Through the backend


async def test_backend_gives_the_same_text() -> None:
    for key, edition in EDITIONS.items():
        topic = lesson.dialogues()["es"].topics["moe"]
        text = await through_backend(key, [Message.of("user", topic.questions[0])])
        assert text == edition.say(topic)


@pytest.mark.parametrize("language", ["en", "zh", "ar"])
async def test_an_answer_goes_on_where_it_was_cut_off(language: str) -> None:
    topic = lesson.dialogues()[language].topics["moe"]
    talk, whole = [Message.of("user", topic.questions[0])], POCKET_35.say(topic)
    for most in (1, 7, 20):
        text = await through_backend("pocket-3.5", talk, most)
        request = Request.going_on(backends.REGISTRY["pocket"], "pocket-3.5", talk, text)
        assert request.messages[-1].role == "assistant" and whole.startswith(request.begun)
        rest = await through_backend("pocket-3.5", list(request.messages))
        assert rest and request.whole(rest) == whole
        # Without a space between words nobody would see where it stopped.
        exact = await through_backend("pocket-3.5", [*talk, Message.of("assistant", text)])
        assert text + exact == whole


async def test_follow_up_turns_and_a_system_prompt() -> None:
    topics = {code: lesson.dialogues()[code].topics for code in LANGUAGES}
    turns = [topics["zh"]["what"], topics["zh"]["moe"], topics["ar"]["run"], topics["en"]["about"]]
    talk = [Message.of("system", "Answer like a teacher.")]
    for topic in turns:
        talk.append(Message.of("user", topic.questions[1]))
        answer = await through_backend("pocket-3.5", talk)
        assert answer == POCKET_35.say(topic)
        talk.append(Message.of("assistant", answer))


async def test_models_are_here() -> None:
    offers = (await backends.REGISTRY["pocket"].check()).offers
    assert {offer.model for offer in offers} == {*EDITIONS, "pocket-vision", "pocket-moe"}
    assert all(offer.status.ready and offer.spec.lifecycle == "demonstration" for offer in offers)
    assert {o.spec.languages for o in offers} == {e.languages for e in lesson.EDITIONS}


# The lesson as data


def rows(dialogue: lesson.Dialogue) -> list[lesson.Topic]:
    return [*dialogue.topics.values(), *dialogue.more, dialogue.unknown]


@pytest.mark.parametrize("language", [*LANGUAGES, *FEW_WORDS])
def test_each_thing_six_ways(language: str) -> None:
    dialogue = lesson.dialogues()[language]
    assert tuple(dialogue.topics) == (
        lesson.TOPICS if language in LANGUAGES else lesson.FIRST_WORDS
    )
    for topic in dialogue.topics.values():
        assert len(topic.questions) >= 6 and len(topic.held_out) >= 2
    assert len(dialogue.unknown.questions) >= 60 and len(dialogue.unknown.held_out) >= 10
    about = dialogue.topics["about"]
    assert all("{name}" in answer for answer in (*about.answers, *dialogue.unknown.answers))


def test_no_question_stands_twice() -> None:
    asked = [
        question
        for topic in (
            *(row for dialogue in lesson.dialogues().values() for row in rows(dialogue)),
            *lesson.other_languages().values(),
        )
        for question in (*topic.questions, *topic.held_out)
    ]
    assert sorted(q for q in set(asked) if asked.count(q) > 1) == []


SCRIPT = {"en": "LATIN", "es": "LATIN", "zh": "CJK", "ar": "ARABIC"}


def test_no_two_answers_begin_alike() -> None:
    """The exam tells them by their beginnings."""
    for edition in (*lesson.EDITIONS, lesson.MOE):
        said = {answer: (code, name) for code, name, answer in exam.taught(edition)}
        assert len({answer[: exam.BEGINNING] for answer in said}) == len(said)


def test_no_question_of_a_visitor_is_trained() -> None:
    trained = {
        question.casefold()
        for edition in (*lesson.EDITIONS, lesson.MOE)
        for question in (exchange.question for exchange in lesson.exchanges(edition))
    }
    asked = exam.visitors()
    assert {len(asked[code]) for code in LANGUAGES} == {40}
    for questions in asked.values():
        assert not trained & {question.casefold() for question, _ in questions}
        assert {topic for _, topic in questions} <= {*lesson.TOPICS, "thanks", "bye", "unknown"}


@pytest.mark.parametrize("edition", lesson.EDITIONS, ids=lambda edition: edition.key)
def test_visitors_are_answered_as_the_readme_says(edition: lesson.Edition) -> None:
    """By a few more or less: on another processor the rounding to int4 computes otherwise."""
    readme = (MODELS.parent / "README.md").read_text(encoding="utf-8")
    row = rf"^\| {re.escape(edition.name)} \| (\w\w) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|"
    told = {code: counts for code, *counts in re.findall(row, readme, re.MULTILINE)}
    for language, counts in exam.exam(edition, exam.load(edition)).items():
        asked, right, declined, wrong = map(int, told[language])
        assert counts.total() == asked
        found = (counts["right"], counts["declined"], counts["wrong"])
        assert all(abs(a - b) <= 3 for a, b in zip(found, (right, declined, wrong), strict=True))


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_are_in_their_own_script(language: str) -> None:
    dialogue = lesson.dialogues()[language]
    text = "".join(a for topic in rows(dialogue) for a in topic.answers if topic.answers)
    text = text.replace("{name}", "").replace("{languages}", "")
    # Names such as Phi-3.5-MoE or Ollama are written in Latin letters everywhere.
    letters = [c for c in text if c.isalpha() and (SCRIPT[language] == "LATIN" or not c.isascii())]
    own = [c for c in letters if unicodedata.name(c).startswith(SCRIPT[language])]
    assert len(own) >= 0.99 * len(letters) > 400


def test_every_example_of_the_page_has_an_answer() -> None:
    known = {
        (code, question)
        for code, dialogue in lesson.dialogues().items()
        for topic in (*dialogue.more, *dialogue.topics.values())
        for question in topic.questions
    }
    shown = {(e.language, e.prompt) for e in EXAMPLES if e.language in lesson.dialogues()}
    assert shown <= known


def test_folder_holds_nothing_else() -> None:
    files = {path.name for path in Path(MODELS).rglob("*") if path.is_file()}
    assert not {name for name in files if name.endswith((".py", ".bin", ".pt"))}


# The training


def test_training_sees_what_inference_sees() -> None:
    _, tokenizer = load("pocket-3.5")
    turns = [("Hello!", "Hi.\n\n- **one**"), ("什么是 SLM？", "小"), (" more", "Yes.")]
    talk = [{"role": "system", "content": "Be brief."}]
    ids, labels = encode(tokenizer, "Be brief.", turns)
    for question, answer in turns:
        talk.append({"role": "user", "content": question})
        prompt = tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_dict=False)
        assert ids[: len(prompt)] == prompt
        assert labels[len(prompt) - 1] == IGNORED and labels[len(prompt)] == ids[len(prompt)]
        talk.append({"role": "assistant", "content": answer})
    learned = tokenizer.decode([label for label in labels if label != IGNORED])
    assert learned.replace(" ", "").split("<|end|>") == ["Hi.\n\n-**one**", "小", "Yes.", ""]


def test_conversations_are_seeded() -> None:
    first, again, other = (Conversations(POCKET_35, seed) for seed in (1, 1, 2))
    drawn = [first.draw() for _ in range(50)]
    assert drawn == [again.draw() for _ in range(50)] != [other.draw() for _ in range(50)]


@pytest.mark.parametrize("edition", lesson.EDITIONS, ids=lambda edition: edition.key)
def test_held_out_questions_are_never_drawn(edition: lesson.Edition) -> None:
    held_out = {exchange.question for exchange in lesson.exchanges(edition, held_out=True)}
    source = Conversations(edition, 3)
    drawn = {question for _ in range(3000) for question, _ in source.draw()[1]}
    assert not held_out & drawn
