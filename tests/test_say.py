"""Sentences in the languages of the page: the files, what says them, and both in a browser."""

import json
import re
from html import unescape
from io import BytesIO
from pathlib import Path

import pytest
from babel import Locale
from playwright.async_api import Page, expect

from backends import MODELS, AuthenticationError, BackendError, Chunk, Progress, Sentence
from backends._local.messages import Failure, Steps, event_bytes, read_event
from playground.conversation import AnswerRecord, Conversation, Turn
from playground.export import to_json
from playground.languages import stays
from tests.pages import Puppet, Visitor
from ui.middleware.sentences import address_of
from ui.tabs.moe.explained import ESSAY
from ui.texts import TRANSLATIONS, say, spoken, told, told_in
from ui.texts.document import codes_in
from ui.texts.spoken import glued_texts, sentences_of_source, texts_of_source
from ui.texts.translation import ORDER

every = pytest.mark.parametrize("code", ORDER)
browsing = pytest.mark.asyncio(loop_scope="session")
PLACES = re.compile(r"\{\w+(?::\w+)?\}")
SAMPLES: list[tuple[str, dict[str, object]]] = [
    ("{n} tokens", {"n": number}) for number in (0, 1, 2, 3, 5, 11, 21, 22, 101, 1234, 1_000_000)
] + [
    ("{a}: {b}, {c}; {d:date}.", {"a": "A", "b": 1.5, "c": "c.d", "d": "2026-11-29"}),
    ("{time:duration} to first token", {"time": 0.085}),
    ("{time:duration} in all", {"time": 1.24}),
    ("{time:duration} in all", {"time": 3725.4}),
    ("{free:bytes} is free on this disk.", {"free": 7.64e9}),
    ("{free:bytes} is free on this disk.", {"free": 54e6}),
    ("{free:bytes} is free on this disk.", {"free": 1234e9}),
    ("{speed:tenths} tokens/s", {"speed": 1234.56}),
    ("{name} must be between {low} and {high}, not {value}.",
     {"name": ["Top-p", {}], "low": 0.01, "high": 1, "value": 1.5}),
    ("Not answered in {asked:language}", {"asked": "Norwegian"}),
    ("Downloading {label}: {done:percent}", {"label": "Phi", "done": 0.456}),
]  # fmt: skip


def forms_of(text: object) -> list[str]:
    return [text] if isinstance(text, str) else [*text.values()]  # type: ignore[attr-defined]


# ── The files ───────────────────────────────────────────────────────────────────────────────────


@every
def test_every_file_has_the_same_sentences(code: str) -> None:
    sentences = TRANSLATIONS[code].sentences
    assert list(sentences) == list(TRANSLATIONS["es"].sentences) and len(sentences) > 300
    for english, text in sentences.items():
        for form in forms_of(text):
            assert form.strip() and not re.search(r"[<>&]", form), english
            assert form.count("**") == english.count("**"), form
            extra = {*PLACES.findall(form)} - {*PLACES.findall(english)}
            missing = {*PLACES.findall(english)} - {*PLACES.findall(form)}
            assert not extra and missing <= ({"{n}"} if not isinstance(text, str) else set()), form


@every
def test_plurals_are_those_of_the_language(code: str) -> None:
    wanted = {*Locale.parse(code).plural_form.tags, "other"}
    numbered = [one for one in TRANSLATIONS[code].sentences.values() if not isinstance(one, str)]
    assert len(numbered) > 5
    assert all({*one} == wanted for one in numbered)


def test_every_translation_is_of_what_is_said() -> None:
    said = texts_of_source()
    assert [one for one in TRANSLATIONS["cs"].sentences if one not in said] == []


MAY_BE_GLUED = {
    "playground/model_names.py": "names that programs and the command line ask for",
}
"""Files with texts that are put together, and why they are."""


def test_nothing_that_visitors_are_told_is_glued() -> None:
    assert {place.partition(":")[0] for place in glued_texts()} == MAY_BE_GLUED.keys()


def test_glued_texts_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "backends").mkdir()
    monkeypatch.setattr(spoken, "ROOT", tmp_path)
    source = tmp_path / "backends" / "one.py"
    for text in ('f"{label} fell."', '"It fell" + why', '"{} fell".format(label)', "x or f'{y}'"):
        for line in (
            f"Status('ready', {text})",
            f"error.hint = {text}",
            f"Progress('x', detail={text})",
        ):
            source.write_text(line)
            assert glued_texts() == ["backends/one.py:1"], line
        source.write_text(f"def fall():\n    what = {text}\n    raise ServerError(what, 'Wait.')")
        assert glued_texts() == ["backends/one.py:2"]
    source.write_text("raise ServerError(Sentence('{label} fell.', label=label), 'Wait a minute.')")
    assert glued_texts() == []
    assert sentences_of_source() == {"{label} fell.", "Wait a minute."}


@every
def test_sentences_are_in_their_language(code: str) -> None:
    long = {
        english: text
        for english, text in TRANSLATIONS[code].sentences.items()
        if isinstance(text, str) and len(PLACES.sub("", english)) > 40
    }
    assert len(long) > 40
    bare = {english: PLACES.sub("", text) for english, text in long.items()}
    assert [english for english, text in bare.items() if stays(text, code) == "left"] == []
    assert stays("\n".join(bare.values()), code) == "stayed"


def test_a_document_is_its_sentences() -> None:
    page = """<p data-told>A **small** model &amp; {name}.</p><svg><text x="1" data-told="5">expert
 {number}</text></svg><p>Not <a href="x">told</a></p>"""
    assert codes_in(page) == ["A **small** model & {name}.", "expert\n {number}"]
    told = told_in(page, name="Phi", unused=1)
    said = told.removeprefix('<p data-say="').partition('"')[0]
    assert json.loads(unescape(said)) == ["A **small** model & {name}.", {"name": "Phi"}]
    assert ">A <b>small</b> model &amp; <bdi>Phi</bdi>.</p>" in told
    assert '{&quot;number&quot;:5}]">expert\n 5</text>' in told and 'Not <a href="x">told' in told


# ── Saying them ─────────────────────────────────────────────────────────────────────────────────


def test_numbers_and_plurals_of_a_language() -> None:
    assert [say("{n} tokens", {"n": n}, "cs") for n in (1, 3, 5)] == [
        "1 token", "3 tokeny", "5 tokenů",
    ]  # fmt: skip
    assert [say("{n} tokens", {"n": n}, "ar") for n in (2, 3, 11)] == [
        "رمزان", "3 رموز", "11 رمزًا",
    ]  # fmt: skip
    assert say("{n} tokens", {"n": 21}, "ro") == "21 de tokeni"
    assert say("{free:bytes} is free on this disk.", {"free": 7.64e9}, "cs").endswith("7,6 GB.")
    assert say("{n} tokens", {"n": 1}, "xx") == "1 tokens"  # an unknown language is English


def test_what_has_no_translation_is_english() -> None:
    sentence = Sentence("{label} sings.", label="Ollama")
    assert say(sentence, locale="cs") == "Ollama sings."
    both = Sentence.chain(sentence, "Choose another model.")
    assert say(both, locale="cs") == "Ollama sings. Vyberte jiný model."


def test_an_error_keeps_its_sentences_through_pipes_and_reloads() -> None:
    error = AuthenticationError(
        Sentence("{label} refused the key.{quoted}", label="NIM",
                 quoted=Sentence(" It says: “{said}”", said="no <way>")),
        "Check it on the Models tab.",
    )  # fmt: skip
    english = "NIM refused the key. It says: “no <way>” Check it on the Models tab."
    czech = "NIM odmítl klíč. Uvádí: „no <way>“ Zkontrolujte ho na kartě Modely."
    assert str(error) == english and say(str(error), locale="cs") == czech
    crossed = Failure.of(error).error
    assert isinstance(crossed, BackendError) and say(str(crossed), locale="cs") == czech
    said = tuple(Sentence.of(str(error)).dump())
    record = AnswerRecord(model="m", backend="b", text="", error=english, error_said=said)
    back = AnswerRecord.model_validate_json(record.model_dump_json())
    assert say(back.failure, locale="cs") == czech
    html = told(back.failure)
    assert "no &lt;way&gt;" in html and "<way>" not in html


def test_notes_and_progress_keep_their_sentences_through_pipes_and_reloads() -> None:
    note = Sentence("{n} crops", one="{n} crop", n=4)
    place = Progress("queued", detail=Sentence("number {place} in line", place=2))
    crossed = read_event(BytesIO(event_bytes(Steps(1, [Chunk("a", notes=(note, "x")), place]))))
    assert isinstance(crossed, Steps)
    chunk, progress = crossed.steps
    assert isinstance(chunk, Chunk) and isinstance(progress, Progress)
    assert say(chunk.notes[0], locale="cs") == "výřezy: 4" and chunk.notes[1] == "x"
    assert say(progress.detail, locale="cs") == "2. ve frontě"
    record = AnswerRecord(model="m", backend="b", text="", notes=(note,))
    back = AnswerRecord.model_validate_json(record.model_dump_json())
    assert say(back.notes[0], locale="cs") == "výřezy: 4"
    talk = Conversation(turns=(Turn(prompt="p", answers=(record, None)),))
    (kept,) = json.loads(to_json(talk))["turns"]
    assert kept["answers"][0]["notes"] == ["4 crops"], "an export has plain texts"


@pytest.mark.parametrize("bad", ["x", 7, ["x"], [1, {}], ["x", [], 1], ["{a}", {"a": ["y"]}]])
def test_a_broken_sentence_from_a_browser_is_dropped(bad: object) -> None:
    fields = {"model": "m", "backend": "b", "text": "", "error": "Gone.", "error_said": bad}
    assert AnswerRecord.model_validate(fields).failure == "Gone."


# ── In a browser ────────────────────────────────────────────────────────────────────────────────


async def choose(page: Page, name: str) -> None:
    await page.select_option("#language", label=name)


@browsing
async def test_the_page_says_them_as_the_server_does(visitor: Visitor) -> None:
    page = visitor.page
    for code in ORDER:
        await page.evaluate(
            "([code, address]) => phi.learn(code, address)", [code, address_of(code)]
        )
        for sentence, values in SAMPLES:
            there = await page.evaluate(
                "([code, values]) => phi.say(code, values)", [sentence, values]
            )
            if code in ("es", "pl") and values.get("n") == 1234:
                there = there.replace(
                    "1234", say("{n}", {"n": 1234}, code)
                )  # Intl groups from 10,000
            assert there.replace("\u202f", "\xa0") == say(sentence, values, code).replace(
                "\u202f", "\xa0"
            )


@browsing
async def test_states_and_errors_are_said_and_change_with_the_switch(
    visitor: Visitor, puppet: Puppet
) -> None:
    page = visitor.page
    await choose(page, "Čeština")
    state = page.locator("#text-state-a .state")
    await expect(state).to_contain_text("Připraven")
    await page.click("#text-compare")
    notice = page.locator("#text-notice .notice")
    await expect(notice).to_have_text(
        "Ještě tu není žádný prompt. Napište ho nebo vyberte příklad."
    )
    await choose(page, "العربية")
    await expect(notice).to_have_text("لا يوجد طلب بعد. اكتب طلبًا أو اختر مثالًا.")
    await expect(notice.locator("[data-say]").first).to_have_attribute("dir", "rtl")
    await expect(state).to_contain_text("جاهز")
    await visitor.ask("Hello")
    puppet.feed("one", AuthenticationError(
        Sentence("{label} refused the key.{quoted}", label="Puppet",
                 quoted=Sentence(" It says: “{said}”", said="no entry")),
        "Check it on the Models tab.",
    ))  # fmt: skip
    puppet.answer("two", "Here.")
    failure = page.locator("#text-transcript .failure").first
    await expect(failure).to_contain_text("رفض Puppet المفتاح.")
    theirs = failure.locator("bdi[translate=no]")
    await expect(theirs).to_have_text("no entry")
    await expect(theirs).to_have_attribute("lang", "")
    await choose(page, "Čeština")
    await expect(failure).to_contain_text("Puppet odmítl klíč.")
    await expect(page.locator("#text-transcript [data-act=regenerate]").first).to_have_text(
        "Generovat znovu"
    )
    await expect(page.locator("#announcer")).not_to_contain_text("done")
    await choose(page, "English")
    await expect(failure).to_contain_text("Puppet refused the key. It says: “no entry”")
    assert visitor.faults == []


@browsing
async def test_programs_and_addresses_stay_what_they_are(visitor: Visitor) -> None:
    code = "Install it from {url}, start it, and run {command}."
    values = {"url": "https://ollama.com/download", "command": "`ollama pull phi3.5`"}
    await visitor.page.evaluate("([code, at]) => phi.learn(code, at)", ["cs", address_of("cs")])
    drawn = await visitor.page.evaluate(
        """([code, values]) => {
            const node = document.body.appendChild(document.createElement("p"));
            node.dataset.say = JSON.stringify([code, values]);
            phi.sayIn(node);
            const first = node.firstChild;
            phi.sayIn(node);
            return [node.innerText, node.querySelector("code").innerText,
                    node.querySelector("a").href, first === node.firstChild];
        }""",
        [code, values],
    )
    said = say(code, values, "cs").replace("`", "")
    assert drawn == [said, "ollama pull phi3.5", "https://ollama.com/download", True]


@browsing
async def test_a_number_keeps_its_unit_behind_it_in_arabic(visitor: Visitor) -> None:
    """Though it is written as in English: from the right, `4.2 s` would be read `s 4.2`."""
    await visitor.page.evaluate("([code, at]) => phi.learn(code, at)", ["ar", address_of("ar")])
    drawn = await visitor.page.evaluate(
        """(told) => {
            const node = document.body.appendChild(document.createElement("p"));
            node.innerHTML = told;
            phi.sayIn(node);
            const range = document.createRange(), text = node.querySelector("bdi").firstChild;
            const x = (at) => {
                range.setStart(text, at);
                range.setEnd(text, at + 1);
                return range.getBoundingClientRect().x;
            };
            return [node.innerText, x(0) < x(5)];
        }""",
        told(Sentence("{time:duration}", time=4.2)),
    )
    assert drawn == ["4.20 s", True]


@browsing
async def test_the_essay_is_in_the_visitors_language(visitor: Visitor) -> None:
    page = visitor.page
    await choose(page, "Čeština")
    await page.evaluate("phi.tab('moe')")
    await page.click("#moe-explained summary")
    essay = page.locator("#moe-explained details")
    await expect(essay.locator("b").first).to_have_text("vrstev")
    body = await essay.inner_text()
    assert stays(body, "cs") == "stayed" and "41,9" in body and "**" not in body
    for code in codes_in(ESSAY.read_text("utf-8")):
        first = say(code, {}, "cs").replace("**", "").partition("{")[0].strip()
        assert first in await essay.evaluate("(node) => node.textContent"), code
    assert await essay.locator("b").count() == ESSAY.read_text("utf-8").count("**") / 2
    assert visitor.faults == []


@browsing
async def test_a_list_is_in_the_visitors_language(visitor: Visitor) -> None:
    page = visitor.page
    await choose(page, "Čeština")
    await page.click("#text-model-a input")
    away = page.locator("#text-model-a [role=option]", has_text="Away")
    await expect(away).to_contain_text("ještě tu není")


@browsing
async def test_a_long_and_mirrored_language_fits(visitor: Visitor) -> None:
    page = visitor.page
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.route("**/texts/cs.json*", _stretched)
    await choose(page, "Čeština")
    await expect(page.locator("#text-state-a .state")).to_contain_text("[Připraven~~~~]")
    await page.evaluate("document.documentElement.dir = 'rtl'")
    wide, room = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room and visitor.faults == []


async def _stretched(route: object) -> None:
    """Answers with sentences that are 40 % longer."""
    stretched = {
        english: f"[{text}{'~' * (len(text) * 2 // 5 + 1)}]"
        for english, text in TRANSLATIONS["cs"].sentences.items()
        if isinstance(text, str)
    }
    await route.fulfill(json=stretched)  # type: ignore[attr-defined]


def test_the_models_are_never_translated() -> None:
    labels = {spec.label for spec in MODELS.values()}
    assert not labels & TRANSLATIONS["cs"].sentences.keys()
