"""The Vision tab in a real browser: pictures in, in order, and nothing of them left behind."""

import asyncio
import base64
import io
import os
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import BrowserContext, Route, expect

from backends import TextPart
from playground.examples.vision import picture_bytes
from tests.browser import PATIENCE
from tests.pages import Puppet, Visitor, column_of, line_of
from ui.tabs.vision.view import VisionView

pytestmark = pytest.mark.asyncio(loop_scope="session")

PUPPETS = "?tab=vision&a=puppet/one&b=puppet/two&a.crops=1&b.crops=4"
HEIC = (Path(__file__).parent / "data" / "turned.heic").read_bytes()


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(
    context: BrowserContext, served: str, puppet: Puppet
) -> AsyncGenerator[Visitor, None]:
    """Somebody on the Vision tab, with puppets for models."""
    visitor = await Visitor(await context.new_page(), served, "vision").open(PUPPETS)
    yield visitor
    assert visitor.faults == [], visitor.faults


def png(colour: str, size: tuple[int, int] = (60, 40)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def file(name: str, data: bytes, kind: str = "image/png") -> dict:
    return {"name": name, "mimeType": kind, "buffer": data}


async def add(visitor: Visitor, *files: dict, expected: int | None = None) -> None:
    """Choose files with the button, and wait until they are in the strip."""
    await visitor.page.set_input_files(".adding input[type=file]", list(files))
    if expected is not None:
        await expect(visitor.page.locator("#vision-strip li")).to_have_count(expected)


async def names(visitor: Visitor) -> list[str]:
    return await visitor.page.locator("#vision-strip li p span:first-child").all_inner_texts()


def colours(message) -> list[tuple[int, ...]]:
    opened = (Image.open(io.BytesIO(image.data)) for image in message.images)
    return [picture.convert("RGB").getpixel((3, 3)) for picture in opened]


async def answers(visitor: Visitor, puppet: Puppet, text: str = "Seen.") -> None:
    puppet.answer("one", text)
    puppet.answer("two", text)
    for side in ("a", "b"):
        await visitor.sees(column_of(side, view="vision"), text)
    await visitor.finished()


async def test_two_pictures_reach_both_models_in_their_order(visitor: Visitor, puppet: Puppet):
    await add(visitor, file("red.png", png("red")), file("blue.png", png("blue")), expected=2)
    await visitor.page.click("#vision-strip [data-act=earlier]")
    await expect(visitor.page.locator("#vision-strip li").first).to_contain_text("blue.png")
    await visitor.ask("What is this?")
    await answers(visitor, puppet)
    assert len(puppet.asked) == 2
    crops = {}
    for model, messages, params in puppet.asked:
        assert colours(messages[-1]) == [(0, 0, 255), (255, 0, 0)]
        assert messages[-1].parts[-1] == TextPart("What is this?")
        crops[model] = params.num_crops
    assert crops == {"one": 1, "two": 4}
    await expect(visitor.page.locator("#vision-strip li")).to_have_count(0)
    shown = visitor.page.locator("#vision-transcript .prompt img")
    assert [await one.get_attribute("alt") for one in await shown.all()] == ["blue.png", "red.png"]


async def test_what_they_cost_and_how_they_are_seen_is_said_before(visitor: Visitor):
    await add(visitor, file("wide.png", png("green", (1280, 720))), expected=1)
    costs = await visitor.text("#vision-strip .costs")
    assert "A 1 crop: 313 tokens" in costs and "8 % of the 4,096-token context" in costs
    assert "B up to 4 crops: 757 tokens" in costs
    await visitor.page.click("#vision-strip summary")
    await expect(visitor.page.locator("#vision-strip .sheets img")).to_have_count(2)
    await visitor.page.click("#vision-crops-a input")
    await visitor.page.click(".options [aria-label='16']")
    await visitor.sees("#vision-strip .costs", "A up to 16 crops: 2,353 tokens")
    assert await visitor.page.locator("#vision-strip details[open]").count() == 1
    await visitor.page.click("#vision-strip [data-act=remove]")
    await expect(visitor.page.locator("#vision-strip li")).to_have_count(0)
    assert "a.crops=16" in visitor.page.url and "tab=vision" in visitor.page.url


async def test_a_png_a_heic_and_an_mp4(visitor: Visitor, puppet: Puppet):
    await visitor.page.fill("#vision-frames input", "3")
    await add(
        visitor,
        file("red.png", png("red")),
        file("photo.heic", HEIC, "image/heic"),
        file("clip.mp4", picture_bytes("clip.mp4"), "video/mp4"),
        expected=5,
    )
    told = await names(visitor)
    assert told[:2] == ["red.png", "photo.heic"]
    assert [name.split(" at ")[0] for name in told[2:]] == ["clip.mp4"] * 3
    numbers = await visitor.page.locator("#vision-strip li > b").all_inner_texts()
    assert numbers == ["1", "2", "3", "4", "5"]
    await visitor.ask("Summarise.")
    await answers(visitor, puppet)
    assert len(puppet.asked[0][1][-1].images) == 5


async def give(visitor: Visitor, how: str, colour: str) -> None:
    """Paste or drop a picture on the prompt box."""
    script = """([data, how]) => {
      const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
      const given = new DataTransfer();
      given.items.add(new File([bytes], `${how}.png`, { type: "image/png" }));
      const place = document.querySelector("#vision-prompt textarea");
      if (how === "paste") {
        const options = { clipboardData: given, bubbles: true, cancelable: true };
        place.dispatchEvent(new ClipboardEvent("paste", options));
      } else {
        const options = { dataTransfer: given, bubbles: true, cancelable: true };
        place.dispatchEvent(new DragEvent("dragover", options));
        place.dispatchEvent(new DragEvent("drop", options));
      }
    }"""
    await visitor.page.evaluate(script, [base64.b64encode(png(colour)).decode(), how])


async def test_pasted_and_dropped(visitor: Visitor):
    await visitor.page.wait_for_function("() => phi.views.vision")  # nobody pastes within 100 ms
    for n, (how, colour) in enumerate([("paste", "red"), ("drop", "blue")], 1):
        await give(visitor, how, colour)
        await expect(visitor.page.locator("#vision-strip li")).to_have_count(n)
    assert await names(visitor) == ["paste.png", "drop.png"]
    assert not await visitor.page.locator(".view.dropping").count()


@pytest.mark.parametrize("how", ["paste", "drop"])
async def test_given_before_the_button_is_there(context: BrowserContext, served: str, how: str):
    """Gradio fetches the button's script by itself: it may come after all the rest."""
    page, go_on = await context.new_page(), asyncio.Event()
    late: list[str] = []

    async def hold_the_button(route: Route) -> None:
        response = await route.fetch()
        if "-upload-button`" in await response.text():
            late.append(route.request.url)
            await go_on.wait()
        await route.fulfill(response=response)

    await page.route("**/assets/Index-*.js", hold_the_button)
    visitor = await Visitor(page, served, "vision").open(PUPPETS)
    await page.wait_for_function("() => phi.views.vision")
    assert late and not await page.locator("#vision-add").count()
    await give(visitor, how, "red")
    go_on.set()
    await expect(page.locator("#vision-strip li")).to_have_count(1)
    assert await names(visitor) == [f"{how}.png"]
    await give(visitor, "drop" if how == "paste" else "paste", "blue")
    await expect(page.locator("#vision-strip li")).to_have_count(2)
    assert visitor.faults == [], visitor.faults


async def test_a_file_dropped_beside_the_view_does_not_replace_the_page(visitor: Visitor):
    opened = await visitor.page.evaluate(
        """() => {
      const given = new DataTransfer();
      given.items.add(new File([new Uint8Array(9)], "a.png", { type: "image/png" }));
      const options = { dataTransfer: given, bubbles: true, cancelable: true };
      return document.querySelector("h1").dispatchEvent(new DragEvent("drop", options));
    }"""
    )
    assert not opened and not await visitor.page.locator("#vision-strip li").count()


async def test_pictures_stay_over_regenerate_edit_and_undo(visitor: Visitor, puppet: Puppet):
    await add(visitor, file("red.png", png("red")), expected=1)
    await visitor.ask("What is this?")
    await answers(visitor, puppet)
    await visitor.page.click("#vision-regenerate")
    await answers(visitor, puppet, "Seen again.")
    await visitor.page.hover("#vision-transcript .prompt")
    await visitor.page.click("#vision-transcript [data-act=edit]")
    await visitor.page.fill("#vision-transcript textarea", "And this?")
    await visitor.page.click("#vision-transcript [data-act=send]")
    await answers(visitor, puppet, "Seen anew.")
    assert [messages[-1].text for _, messages, _ in puppet.asked[::2]] == [
        "What is this?", "What is this?", "And this?"
    ]  # fmt: skip
    for _, messages, _ in puppet.asked:
        assert colours(messages[-1]) == [(255, 0, 0)]
    await visitor.page.click("#vision-undo")
    await visitor.has_prompt("And this?")
    assert await names(visitor) == ["red.png"]


async def test_numbers_go_on_and_earlier_pictures_are_sent_along(visitor: Visitor, puppet: Puppet):
    await add(visitor, file("red.png", png("red")), expected=1)
    await visitor.ask("What is this?")
    await answers(visitor, puppet)
    await add(visitor, file("blue.png", png("blue")), expected=1)
    assert await visitor.text("#vision-strip li > b") == "2"
    assert "with the earlier ones" in await visitor.text("#vision-strip .costs")
    await visitor.ask("And that?")
    await answers(visitor, puppet, "That too.")
    sent = puppet.asked[-1][1]
    assert [colours(message) for message in sent] == [[(255, 0, 0)], [], [(0, 0, 255)]]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "SVG"),
        ("photo.png", b"MZ" + b"\0" * 500, "photo.png"),
        ("half.png", png("red", (400, 400))[:150], "half.png"),
        ("empty.png", b"", "empty"),
    ],
)
async def test_what_is_no_picture_is_said_and_nothing_is_lost(
    visitor: Visitor, puppet: Puppet, name: str, data: bytes, words: str
):
    await add(visitor, file("red.png", png("red")), expected=1)
    await visitor.page.fill("#vision-prompt textarea", "Unsent")
    bad = file(name, data, "application/octet-stream")
    await add(visitor, bad, file("blue.png", png("blue"), ""), expected=2)
    await visitor.sees("#vision-notice", words)
    assert await names(visitor) == ["red.png", "blue.png"]
    assert await visitor.prompt() == "Unsent"
    await visitor.page.click("#vision-compare")
    await answers(visitor, puppet)
    assert await visitor.page.locator("#vision-notice [role=alert]").count() == 0


async def test_after_a_reload_the_words_are_there_and_the_pictures_gone(
    visitor: Visitor, puppet: Puppet
):
    await add(visitor, file("red.png", png("red")), expected=1)
    await visitor.ask("What is this?")
    await answers(visitor, puppet)
    await visitor.open(PUPPETS)
    await visitor.sees(column_of("a", view="vision"), "Seen.")
    await visitor.ask("Still there?")
    await visitor.sees("#vision-notice", "no longer here")
    assert await visitor.prompt() == "Still there?"
    assert len(puppet.asked) == 2
    await visitor.page.click("#vision-clear")
    await visitor.page.click("#vision-compare")
    await answers(visitor, puppet)


async def test_when_a_question_fails_its_pictures_come_back(visitor: Visitor, puppet: Puppet):
    from backends import ServerError

    await add(visitor, file("red.png", png("red")), expected=1)
    await visitor.ask("What is this?")
    for model in ("one", "two"):
        puppet.feed(model, ServerError("It fell over.", "Try again."))
    await visitor.sees(line_of("b", view="vision"), "It fell over.")
    await visitor.finished()
    await visitor.has_prompt("What is this?")
    assert await names(visitor) == ["red.png"]
    assert await visitor.text("#vision-strip li > b") == "1"
    assert "earlier" not in await visitor.text("#vision-strip .costs")
    await visitor.ask("What is this <|image_1|>?")
    await answers(visitor, puppet)
    parts = puppet.asked[-1][1][-1].parts
    assert [getattr(part, "text", "picture") for part in parts] == ["What is this ", "picture", "?"]


async def test_undo_after_a_reload_brings_back_the_words_alone(visitor: Visitor, puppet: Puppet):
    await add(visitor, file("red.png", png("red")), expected=1)
    await visitor.ask("What is this?")
    await answers(visitor, puppet)
    await visitor.open(PUPPETS)
    await visitor.sees(column_of("a", view="vision"), "Seen.")
    await visitor.page.click("#vision-undo")
    await visitor.has_prompt("What is this?")
    await add(visitor, file("blue.png", png("blue")), expected=1)
    assert await names(visitor) == ["blue.png"]


async def test_more_files_at_once_while_others_are_read(visitor: Visitor, monkeypatch):
    held, real = threading.Event(), VisionView._read_upload

    def slow(self, path, name, *rest):
        if name == "slow.png":
            held.wait(PATIENCE)
        return real(self, path, name, *rest)

    monkeypatch.setattr(VisionView, "_read_upload", slow)
    await add(visitor, file("slow.png", png("red")))
    await visitor.sees("#vision-strip .reading", "Reading slow.png… 1 s")
    await visitor.ask("What is this?")
    await visitor.sees("#vision-notice", "still being read")
    await add(visitor, file("quick.png", png("blue")))
    await visitor.sees("#vision-strip", "quick.png")
    held.set()
    await expect(visitor.page.locator("#vision-strip li")).to_have_count(2)
    assert await visitor.prompt() == "What is this?"
    await visitor.sees("#announcer", "picture 2: slow.png")


async def test_moved_by_keyboard_the_focus_stays_with_the_picture(visitor: Visitor):
    files = [file(f"{colour}.png", png(colour)) for colour in ("red", "green", "blue")]
    await add(visitor, *files, expected=3)
    await visitor.page.locator("#vision-strip [aria-label='Move picture 1 later']").focus()
    await visitor.page.keyboard.press("Enter")
    await visitor.sees("#announcer", "picture 1: green.png, picture 2: red.png")
    focused = "document.activeElement.getAttribute('aria-label')"
    assert await visitor.page.evaluate(focused) == "Move picture 2 later"
    await visitor.page.keyboard.press("Enter")
    await visitor.sees("#announcer", "picture 2: blue.png, picture 3: red.png")
    assert await names(visitor) == ["green.png", "blue.png", "red.png"]


async def test_text_that_comes_with_a_picture_is_pasted_as_text(visitor: Visitor):
    taken = await visitor.page.evaluate(
        """() => {
      const given = new DataTransfer();
      given.items.add(new File([new Uint8Array(9)], "cell.png", { type: "image/png" }));
      given.setData("text/plain", "1\t2");
      const options = { clipboardData: given, bubbles: true, cancelable: true };
      const place = document.querySelector("#vision-prompt textarea");
      return !place.dispatchEvent(new ClipboardEvent("paste", options));
    }"""
    )
    assert not taken and not await visitor.page.locator("#vision-strip li").count()


async def test_nothing_of_a_picture_stays_on_the_disk(
    visitor: Visitor, puppet: Puppet, served: str
):
    from gradio.utils import get_upload_folder

    picture = png("purple", (61, 47))
    await add(visitor, file("secret-name.png", picture), file("bad.png", b"nothing"), expected=1)
    await visitor.ask("What is this?")
    await answers(visitor, puppet)
    kept = {name for _, _, names in os.walk(get_upload_folder()) for name in names}
    assert not kept & {"secret-name.png", "bad.png"}


async def test_an_example_brings_its_picture(visitor: Visitor):
    await visitor.page.click("#vision-example-0")
    await expect(visitor.page.locator("#vision-strip li")).to_have_count(1)
    await expect(visitor.page.locator("#vision-prompt textarea")).not_to_have_value("")
    await visitor.page.locator("#vision-examples-language").get_by_text("中文").click()
    await visitor.page.click("#vision-example-9")
    await expect(visitor.page.locator("#vision-strip li")).to_have_count(2)


async def test_the_tab_opens_on_the_built_in_model_in_one_crop_and_in_four(
    visitor: Visitor, monkeypatch, tmp_path
):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    await visitor.open("?tab=vision")
    for side, crops in (("a", "1"), ("b", "4")):
        box = visitor.page.locator(f"#vision-model-{side} input")
        await expect(box).to_have_value("Pocket-Vision")
        await expect(visitor.page.locator(f"#vision-crops-{side} input")).to_have_value(crops)
    assert "not a Microsoft model" in await visitor.text("#vision-opening")
    await visitor.page.click("#vision-example-0")
    await visitor.sees("#vision-strip .costs", "B up to 4 crops: 757 tokens")
    await visitor.page.click("#vision-compare")
    for side in ("a", "b"):
        await visitor.sees(column_of(side, view="vision"), "red circle")
    await visitor.finished()


async def test_the_phi_models_say_what_is_missing(visitor: Visitor, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    sides = [
        f"{side}=transformers/microsoft/{name}"
        for side, name in (
            ("a", "Phi-3-vision-128k-instruct"),
            ("b", "Phi-3.5-vision-instruct"),
        )
    ]
    await visitor.open(f"?tab=vision&{'&'.join(sides)}")
    for side, model in (("a", "Phi-3-vision"), ("b", "Phi-3.5-vision")):
        shown = await visitor.page.input_value(f"#vision-model-{side} input")
        assert shown.startswith(model)
    await visitor.page.click("#vision-example-0")
    await expect(visitor.page.locator("#vision-strip li")).to_have_count(1)
    await visitor.sees("#vision-strip .costs", "up to 16 crops")
    await visitor.page.click("#vision-code-b")
    await visitor.sees("#vision-transcript .program[data-side=b]", "num_crops=16")
    await visitor.sees("#vision-transcript .program[data-side=b]", "picture-1.png")
    await visitor.page.click("#vision-compare")
    await visitor.sees(line_of("a", view="vision"), "not on this machine")
    await visitor.finished()
    await expect(visitor.page.locator("#vision-strip li")).to_have_count(1)


async def test_on_a_phone_nothing_sticks_out(visitor: Visitor):
    await visitor.page.set_viewport_size({"width": 390, "height": 844})
    await add(visitor, *(file(f"{n}.png", png("red", (900, 300))) for n in range(4)), expected=4)
    await visitor.page.click("#vision-strip summary")
    assert await visitor.page.evaluate("document.documentElement.scrollWidth") <= 390
