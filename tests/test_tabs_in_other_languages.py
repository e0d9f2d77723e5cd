"""No English is left on the Languages, MoE and Vision tabs: seen with sentences that are marked."""

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from tests.pages import Puppet, Visitor
from ui.texts import TRANSLATIONS

browsing = pytest.mark.asyncio(loop_scope="session")
MATRIX = "#languages-matrix"
NAMES = (
    *(".own-name", ".who b", ".letter + span", ".whose", "pre", "bdi", "script", "style"),
    *(".value", ".text", ".snippet", ".tokens", "[data-save]", "thead th:not([data-say])"),
    *("svg text:not([data-say])", "svg title"),
)
"""What is somebody's own words, or the same in all languages."""
LEFT = """([root, names]) => {
  const found = new Set(), top = document.querySelector(root);
  const isFrame = (code) => !/\\p{L}{2}/u.test(code.replace(/\\{\\w+(:\\w+)?\\}/g, ""));
  const isMarked = (said) => said.textContent.includes("⟦")
    || isFrame(JSON.parse(said.dataset.say)[0]);
  const walker = document.createTreeWalker(top, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const text = node.nodeValue.trim(), own = node.parentElement, said = own.closest("[data-say]");
    if (!/[A-Za-z]{3}/.test(text) || own.closest(names)) continue;
    if (!said || !isMarked(said)) found.add(text);
  }
  for (const node of top.querySelectorAll("[aria-label], [title]")) {
    for (const name of ["aria-label", "title"]) {
      const text = node.getAttribute(name) || "";
      const theirs = name === "title" && node.matches(".mark"); // an answer
      if (/[A-Za-z]{3}/.test(text) && !text.includes("⟦") && !theirs) found.add(text);
    }
  }
  return [...found];
}"""


def mark(text: object) -> object:
    """A sentence, or each of its plurals, in marks."""
    if isinstance(text, str):
        return f"⟦{text}⟧"
    return {name: f"⟦{form}⟧" for name, form in text.items()}  # type: ignore[attr-defined]


async def marked_page(context: BrowserContext, served: str, tab: str) -> Page:
    """A page in Czech whose every translated sentence is in marks."""

    async def answer(route: Route) -> None:
        await route.fulfill(json={k: mark(v) for k, v in TRANSLATIONS["cs"].sentences.items()})

    page = await context.new_page()
    await page.route("**/texts/cs.json*", answer)
    await page.goto(f"{served}/?tab={tab}&lang=cs&a=puppet/one&b=puppet/two")
    return page


async def english(page: Page, root: str) -> list[str]:
    return await page.evaluate(LEFT, [root, ", ".join(NAMES)])


@browsing
async def test_none_is_left_in_the_matrix(
    context: BrowserContext, served: str, puppet: Puppet
) -> None:
    page = await marked_page(context, served, "languages")
    await page.wait_for_selector(f"{MATRIX} tbody tr")
    await expect(page.locator(f"{MATRIX} .headline")).to_contain_text("⟦")
    assert await english(page, f"{MATRIX} .matrix > header") == []
    assert await english(page, f"{MATRIX} [data-of=cells]") == []
    for view in ("picture", "tax"):
        await page.click(f"{MATRIX} [data-view={view}]")
        await page.wait_for_selector(f"{MATRIX} [data-of={view}] table", state="attached")
        assert await english(page, f"{MATRIX} [data-of={view}]") == []
    await page.click(f"{MATRIX} [data-view=cells]")
    await page.click(f"{MATRIX} tbody .mark")
    await page.wait_for_selector(f"{MATRIX} dialog[open]")
    assert await english(page, f"{MATRIX} dialog") == []


@browsing
async def test_none_is_left_in_the_routing_figure(
    context: BrowserContext, served: str, puppet: Puppet
) -> None:
    page = await marked_page(context, served, "moe")
    await expect(page.locator("#moe-routing-a .says")).to_contain_text("⟦")
    await expect(page.locator("#moe-cost-a .model-cost")).to_contain_text("⟦")
    assert await english(page, "#moe-routing-a") == await english(page, "#moe-cost-a") == []


@browsing
async def test_own_prompts_have_a_box_for_each_language(
    context: BrowserContext, served: str, puppet: Puppet
) -> None:
    visitor = Visitor(await context.new_page(), served, "languages")
    page = visitor.page
    await page.goto(f"{served}/?tab=languages&a=puppet/one&b=puppet/two")
    await page.wait_for_selector(f"{MATRIX} tbody tr")
    await page.click(f"{MATRIX} [data-act=choose]")
    await page.click("#languages-what label >> nth=1")
    await page.click("#languages-none")
    boxes = page.locator("#languages-own-rows textarea")
    await expect(boxes).to_have_count(0)
    for code in ("de", "ar"):
        await page.click(f"#languages-languages label:has(input[name={code}])")
    await expect(boxes).to_have_count(2)
    arabic, german = boxes.nth(0), boxes.nth(1)  # in the order of the list
    await expect(arabic).to_have_attribute("dir", "rtl")
    await expect(page.get_by_role("textbox", name="Deutsch German")).to_have_attribute("lang", "de")
    await german.fill('Sag "hallo",\nbitte')
    table = page.locator("#languages-own textarea")
    await expect(table).to_have_value('de\t"Sag ""hallo"",\nbitte"')
    await visitor.sees("#languages-cost", "2 answers")
    # The table is the same value: what is pasted there fills the boxes, and ticks its languages.
    await table.fill("German\tWarum?\nFrench\tPourquoi ?")
    await expect(boxes).to_have_count(3)
    await expect(german.or_(boxes.nth(2))).to_have_count(2)
    values = [await box.input_value() for box in await boxes.all()]
    assert sorted(values) == ["", "Pourquoi ?", "Warum?"]
    await visitor.sees("#languages-cost", "4 answers")
    assert visitor.faults == []
