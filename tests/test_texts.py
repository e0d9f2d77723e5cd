"""The page's words in other languages: the files, and the switch in a real browser."""

import json
import re
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, expect

from playground.languages import LANGUAGES, stays
from tests.pages import Puppet, Visitor
from ui.texts import EN, I18N, LOCALES, TRANSLATIONS, marked, source_of
from ui.texts.translation import ORDER, Translation

UI = Path(__file__).parent.parent / "ui"
USED = re.compile(r'(?<![\w.])(?:t|words)\(\s*[fF]?["\'](\w+)["\']|data-t(?:-label)?="(\w+)"')
EXAMPLES = {"lang_own_example", "lang_question_example"}
"""Texts in languages of their own."""
BUTTONS = (
    *("check_all", "check", "forget", "add", "remove", "add_side", "copy_side", "add_pictures"),
    *("compare", "stop", "regenerate", "show_code", "hide_code", "undo", "clear", "restore"),
    *("copy_markdown", "copy_json", "copy_link", "lang_all", "lang_none", "lang_run"),
    *("download", "download_confirm", "cancel", "try_again"),
)
every = pytest.mark.parametrize("code", ORDER)
browsing = pytest.mark.asyncio(loop_scope="session")


def words_of(text: str) -> str:
    """A text without what stands for something in another language."""
    return re.sub(r"[“„«][^”“»]*[”“»]", "", text)


@every
def test_every_file_has_the_same_texts(code: str) -> None:
    texts = TRANSLATIONS[code].texts
    assert texts.keys() == TRANSLATIONS["es"].texts.keys()
    assert list(texts) == [key for key in EN if key in texts]
    for key, text in texts.items():
        assert text == text.strip() and text, key
        assert not re.search(r"[<>&]", text), key
        assert re.findall(r"\{\w*\}", text) == re.findall(r"\{\w*\}", EN[key]), key
        assert ("…" in text) == ("…" in EN[key]), key


@every
def test_every_text_is_made_from_the_english_one(code: str) -> None:
    assert TRANSLATIONS[code].stale(EN) == []


def test_what_the_page_asks_for_is_translated() -> None:
    found = set()
    for path in [*UI.rglob("*.py"), *UI.rglob("*.js")]:
        found |= {a or b for a, b in USED.findall(path.read_text("utf-8"))}
    missing = found & EN.keys() - TRANSLATIONS["es"].texts.keys() - EXAMPLES
    assert not missing and len(found) >= 80


@every
def test_sentences_are_in_their_language(code: str) -> None:
    texts = TRANSLATIONS[code].texts
    left = [
        key for key in texts if len(EN[key]) > 30 and stays(words_of(texts[key]), code) == "left"
    ]
    assert left == []
    assert (
        stays("\n".join(text for key, text in texts.items() if len(EN[key]) > 30), code) == "stayed"
    )


@every
def test_buttons_are_not_much_longer(code: str) -> None:
    texts = TRANSLATIONS[code].texts
    long = {key: texts[key] for key in BUTTONS if len(texts[key]) > max(1.6 * len(EN[key]), 16)}
    assert long == {}


def test_a_text_whose_english_has_changed_falls_back() -> None:
    sources = {"stop": source_of("Stop"), "clear": source_of("Wipe"), "gone": source_of("Gone")}
    texts = {"stop": "Parar", "clear": "Vaciar", "gone": "Ido"}
    one = Translation("machine", "", texts, sources)
    english = {"stop": "Stop", "clear": "Clear"}
    assert one.stale(english) == ["clear", "gone"] and one.fresh(english) == {"stop": "Parar"}


def test_who_stands_behind_the_words() -> None:
    assert Translation("machine", "", {}, {}).unread
    assert not Translation("machine", "Jana Nováková, 2026-11-29", {}, {}).unread
    assert not Translation("Jana Nováková", "", {}, {}).unread


def test_files_say_who_made_them() -> None:
    for code in ORDER:
        held = json.loads((UI / "texts" / f"{code}.json").read_text("utf-8"))
        assert held.keys() == {"by", "reviewed", "texts", "sentences"} and held["by"]


# ── In a browser ────────────────────────────────────────────────────────────────────────────────


async def choose(page: Page, name: str) -> None:
    await page.select_option("#language", label=name)


@browsing
async def test_the_switch_changes_the_page_at_once(visitor: Visitor) -> None:
    page = visitor.page
    await expect(page.locator("#machine")).to_be_hidden()
    await page.fill("#text-prompt textarea", "kept")
    await choose(page, "Čeština")
    compare = page.locator("#text-compare")
    await expect(compare).to_contain_text("Porovnat")
    await expect(page.locator("html")).to_have_attribute("lang", "cs")
    await expect(page.locator("#text-transcript .hint")).to_contain_text("vedle sebe")
    await expect(page.locator("#machine")).to_have_text("Strojový překlad")
    await expect(page.locator("#tabs [role=tab]").nth(4)).to_have_text("Modely")
    await visitor.has_prompt("kept")
    await page.reload()
    await expect(compare).to_contain_text("Porovnat")
    await expect(page.locator("#language")).to_have_value("cs")
    await page.click("#tabs [role=tab][data-tab-id=models]")
    await expect(page.locator("#check-all")).to_have_text("Ověřit vše")
    await expect(page.locator("#board h2").first).to_have_text("Kdo může odpovídat")
    await page.click("#tabs [role=tab][data-tab-id=vision]")
    await expect(page.locator("#vision-compare")).to_contain_text("Porovnat")
    await choose(page, "English")
    await expect(page.locator("#vision-compare")).to_contain_text("Compare")
    await expect(page.locator("#tabs [role=tab]").nth(4)).to_have_text("Models")
    await expect(page.locator("#machine")).to_be_hidden()


@browsing
async def test_what_is_typed_and_chosen_is_never_translated(visitor: Visitor) -> None:
    page = visitor.page
    await page.fill("#text-prompt textarea", "prompt")
    await page.click("#tabs [role=tab][data-tab-id=languages]")
    chosen = page.locator("#languages-what input:checked")
    await expect(chosen).to_have_value("prompt")
    await choose(page, "Slovenčina")
    await expect(page.locator("#languages-run")).to_have_text("Spustiť")
    await expect(chosen).to_have_value("prompt")
    await page.click("#tabs [role=tab][data-tab-id=text]")
    await expect(page.locator("#text-compare")).to_contain_text("Porovnať")
    await visitor.has_prompt("prompt")


@browsing
@every
async def test_an_address_names_the_language(
    code: str, context: BrowserContext, served: str, puppet: Puppet
) -> None:
    visitor = await Visitor(await context.new_page(), served).open(
        f"?a=puppet/one&b=puppet/two&lang={code}"
    )
    await expect(visitor.page.locator("#text-compare")).to_contain_text(
        TRANSLATIONS[code].texts["compare"]
    )
    await expect(visitor.page.locator("html")).to_have_attribute("lang", LOCALES.get(code, code))
    await expect(visitor.page.locator("#language option:checked")).to_have_text(
        LANGUAGES[code].own_name
    )
    assert "lang=" not in visitor.page.url and "puppet/two" in visitor.page.url
    assert visitor.faults == []


@browsing
@pytest.mark.parametrize(
    ("locale", "word"),
    [("cs-CZ", "Porovnat"), ("zh-HK", "比较"), ("es-MX", "Comparar"), ("fr-FR", "Compare")],
)
async def test_the_browsers_language_is_the_first(
    locale: str, word: str, visitor: Visitor, served: str
) -> None:
    browser = visitor.page.context.browser
    assert browser
    context = await browser.new_context(locale=locale)
    other = await Visitor(await context.new_page(), served).open()
    await expect(other.page.locator("#text-compare")).to_contain_text(word)
    assert other.faults == []
    await context.close()


@browsing
async def test_without_gradios_script_it_stays_english(
    context: BrowserContext, served: str, puppet: Puppet
) -> None:
    await context.add_init_script("performance.getEntriesByType = () => []")
    visitor = await Visitor(await context.new_page(), served).open(
        "?a=puppet/one&b=puppet/two&lang=cs"
    )
    await choose(visitor.page, "Polski")
    await expect(visitor.page.locator("#language")).to_have_value("en")
    await expect(visitor.page.locator("#text-compare")).to_contain_text("Compare")
    await expect(visitor.page.locator("#text-transcript .hint")).to_contain_text("side by side")
    await visitor.ask("Hello")
    puppet.answer("one", "Here.")
    puppet.answer("two", "Here.")
    await visitor.finished()
    assert visitor.faults == []


OVERFLOWING = """() => [...document.querySelectorAll('button:not(.label-wrap), .masthead, label')]
  .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1
    && getComputedStyle(one).display !== 'inline' && !one.closest('.visually-hidden'))
  .map((one) => one.id + ' ' + one.textContent.trim())"""


@browsing
@pytest.mark.parametrize("tab", ["text", "models"])
async def test_long_words_do_not_overflow_a_phone(
    tab: str, context: BrowserContext, served: str, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every text 1.6 times as long, in the place of Czech.
    longer = {key: text + " " + text[: len(text) * 6 // 10] for key, text in EN.items()}
    monkeypatch.setitem(I18N.translations, "cs", marked(longer))
    page = await context.new_page()
    await page.set_viewport_size({"width": 360, "height": 740})
    visitor = Visitor(page, served)
    await page.goto(f"{served}/?a=puppet/one&b=puppet/two&lang=cs&tab={tab}")
    button = page.locator("#check-all" if tab == "models" else "#text-compare")
    await expect(button).to_contain_text(longer["check_all" if tab == "models" else "compare"])
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    assert await page.evaluate(OVERFLOWING) == []
    assert visitor.faults == []
