"""The Languages tab: what is asked, watched, drawn and stopped; then in a real browser."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Route, expect

from backends import REGISTRY, BackendConnectionError, BadRequestError
from playground.keyring import Keyring
from playground.languages.table import LANGUAGES
from playground.limits import PUBLIC
from playground.matrix import shelf
from playground.matrix.asking import ASKED, OWN, english_of, items_of, items_of_header
from playground.matrix.going_on import answers_left
from playground.matrix.live import LiveRun, read_named
from playground.matrix.published import published
from playground.matrix.recorded import date_of, where_recorded
from playground.matrix.run_file import RunFile, RunFileError, RunModel, jsonl, read
from playground.matrix.runner import header as head_of
from playground.matrix.summary import Summary
from playground.services import Services
from tests.fakes import Fed, Scripted, last, said
from tests.matrix_runs import cell, header, plan
from tests.pages import Puppet, Visitor
from tests.test_accessibility import findings
from ui.tabs.languages import files
from ui.tabs.languages.asked import AskForm, plan_of, plan_to_go_on
from ui.tabs.languages.board import Board
from ui.tabs.languages.picture import picture, table
from ui.tabs.languages.progress import ended_words
from ui.tabs.languages.session import LanguagesSession
from ui.tabs.languages.shown import detail, link, pictures, run_fields
from ui.tabs.languages.view import LanguagesView

POCKET = ["pocket/pocket-3", "pocket/pocket-3.5"]


def form(**told: Any) -> AskForm:
    return AskForm.parse({"models": POCKET, "languages": ["de", "th"], **told})


async def asked(services: Services | None = None, **told: Any) -> Any:
    return await plan_of(form(**told), services or Services(), Keyring())


# ── What is asked ───────────────────────────────────────────────────────────────────────────────


async def test_a_prompt_of_the_page_is_asked_in_each_language() -> None:
    made = await asked(prompt="explain", languages=list(LANGUAGES))
    assert len(made.items) == 26 and made.kinds == ("prompt:explain",)
    by_code = {item.language: item for item in made.items}
    assert "Himmel" in by_code["de"].prompt and by_code["de"].english == by_code["en"].prompt


async def test_a_visitors_own_prompts_are_asked_as_they_are() -> None:
    made = await asked(what="own", own="de\tWarum?\nFrench, Pourquoi ?", languages=["fr", "de"])
    assert {item.language: item.prompt for item in made.items} == {
        "fr": "Pourquoi ?",
        "de": "Warum?",
    }
    assert (made.kinds, made.languages) == ((OWN,), ("fr", "de"))


async def test_an_english_question_asks_for_answers_in_each_language() -> None:
    made = await asked(what="told", question=" Why? ")
    assert [item.prompt for item in made.items] == [
        "Why? Answer in German.",
        "Why? Answer in Thai.",
    ]
    assert all(item.kind == "told" for item in made.items)


async def test_tasks_are_asked_as_often_as_was_chosen() -> None:
    made = await asked(what="tasks", kinds=["digits", "yes_no"], items=4)
    assert len(made.items) == 16 and made.kinds == ("yes_no", "digits") and made.count == 4


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"models": []}, "No model is chosen."),
        ({"models": [*POCKET, "pocket/pocket-3"]}, "one of them twice"),
        ({"models": ["nowhere/phi"]}, "“nowhere/phi” is not there any more."),
        ({"languages": []}, "No language is chosen."),
        ({"languages": ["xx"]}, "No language is chosen."),
        ({"prompt": "sing"}, "There is no such prompt."),
        ({"what": "told"}, "There is no question yet."),
        ({"what": "told", "question": "x" * 100_001}, "100,001 characters"),
        ({"what": "tasks", "kinds": []}, "No task is chosen."),
        ({"what": "tasks", "kinds": ["digits"], "items": 99}, "1 to 12 items"),
        ({"what": "own"}, "There is no prompt of yours yet."),
        ({"what": "own", "own": "Klingon, nuqneH"}, "“Klingon” is no language that is known here"),
        ({"what": "own", "own": "x" * 400_001}, "This table has 400,001 characters"),
        ({"what": {"a": 1}}, "The what cannot be used"),
    ],
)
async def test_what_cannot_be_asked_is_said_in_a_sentence(
    told: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadRequestError, match=re.escape(sentence)):
        await asked(**told)


async def test_a_public_page_asks_for_few_answers_one_at_a_time() -> None:
    with pytest.raises(BadRequestError, match=r"would ask for 52 answers; .* at most 23"):
        await asked(Services(PUBLIC), languages=list(LANGUAGES))
    made = await asked(Services(PUBLIC), languages=list(LANGUAGES)[:11])
    assert len(made.items) * len(made.models) == 22
    assert all(made.at_once(one) == 1 for one in made.models)


def test_items_are_made_again_from_a_header() -> None:
    tasks = header(kinds=("digits", "copy"), languages=("de",), items=2)
    made = items_of_header(tasks)
    assert [item.id for item in made] == ["copy/de/0", "digits/de/0", "copy/de/1", "digits/de/1"]
    assert english_of(tasks, "digits/de/1", made[3].prompt) == made[3].english != ""
    assert english_of(tasks, "digits/de/1", "another wording") == ""
    assert english_of(tasks, "price/de/300000000", "a file may say so") == ""
    own = header(kinds=(OWN,), languages=("de", "en"), texts={"de": "Warum?", "en": "Why?"})
    assert english_of(own, "stays/de/0", "Warum?") == "Why?"
    assert len(items_of((ASKED,), ("de", "fr"), 1, 1, {"en": "Why?"})) == 2


# ── A run that is watched ───────────────────────────────────────────────────────────────────────


def live(services: Services, path: Path, *backends: Scripted, count: int = 2) -> LiveRun:
    made = plan(*backends, count=count)
    return LiveRun(made, head_of(made), path / "run.jsonl", services)


async def test_a_run_is_watched_to_its_end(tmp_path: Path) -> None:
    run = live(Services(), tmp_path, Scripted(said("1"), last(1, 1)), Scripted(said("0"), last()))
    seen = [step async for steps in run.steps() for step in steps]
    assert run.state == "done" and len(run.cells) == 16 == len(read(run.path).cells)
    assert [step.done for step in seen] == list(range(17))
    assert ended_words(run, Services().limits) == {"said": "", "ended": ""}


async def test_a_stopped_run_keeps_what_came_and_says_how_to_go_on(tmp_path: Path) -> None:
    services, slow = Services(), Fed()
    run = live(services, tmp_path, slow)
    slow.feed("yes", last(), None)
    async for _ in run.steps():
        if run.cells:
            run.stop()
    assert run.state == "stopped" and len(read(run.path).cells) == 1 and slow.open == 0
    assert not services.matrices
    told = ended_words(run, services.limits)["ended"]
    assert "1 of 8 answers came" in told and "matrix continue runs/run.jsonl" in told
    assert "continue" not in ended_words(run, PUBLIC)["ended"]


async def test_a_closed_page_ends_its_run(tmp_path: Path) -> None:
    services, slow = Services(), Fed()
    run = live(services, tmp_path, slow)
    ticks = run.steps()
    await anext(ticks)
    await ticks.aclose()
    assert run.state == "stopped" and slow.open == 0 and not services.matrices


async def test_a_visitor_has_one_run_at_a_time_on_a_public_page(tmp_path: Path) -> None:
    services = Services(PUBLIC)
    one, other = live(services, tmp_path / "a", Fed()), live(services, tmp_path / "b", Fed())
    ticks = one.steps()
    await anext(ticks)
    with pytest.raises(BadRequestError, match="You have a run going on"):
        await anext(other.steps())
    await ticks.aclose()
    await anext(third := live(services, tmp_path / "c", Fed()).steps())
    await third.aclose()


GONE = BackendConnectionError("Nobody answers at 127.0.0.1.", "Start it.")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run does not wait before it asks again."""

    async def no_time(_: float) -> None:
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)

    monkeypatch.setattr("playground.matrix.runner.asyncio.sleep", no_time)


async def test_a_server_that_dies_ends_the_run_and_nothing_is_lost(
    tmp_path: Path, at_once: None
) -> None:
    run = live(Services(), tmp_path, Scripted(said("1"), last()), Scripted(GONE))
    async for _ in run.steps():
        pass
    told = ended_words(run, Services().limits)["said"]
    assert run.state == "failed" and told.startswith("Fake B could not be asked 5 times in a row")
    assert sum(one.error is None for one in read(run.path).cells) > 0


async def test_a_run_that_ends_with_a_dead_server_says_why(tmp_path: Path, at_once: None) -> None:
    run = live(Services(), tmp_path, Scripted(said("1"), last()), Scripted(GONE), count=1)
    async for _ in run.steps():
        pass
    told = ended_words(run, Services().limits)["said"]
    assert run.state == "done"
    assert told == "4 answers could not be asked for. Nobody answers at 127.0.0.1. Start it."


async def test_a_run_of_other_tasks_or_engines_is_not_gone_on_with() -> None:
    made = await asked(languages=["de"])
    head = head_of(made)
    assert (await plan_to_go_on(head, Services(), Keyring())).items == made.items
    for changed, sentence in (
        ({"tasks_hash": "0" * 64}, "the wording of its tasks"),
        ({"versions": {**head.versions, "onnxruntime": "0.1"}}, "the versions of its engines"),
        ({"kinds": ("set:mgsm",)}, "tasks are not known here"),
    ):
        with pytest.raises(BadRequestError, match=sentence):
            await plan_to_go_on(head.model_copy(update=changed), Services(), Keyring())


def test_the_answers_that_are_left_are_counted() -> None:
    head = header(kinds=("digits",), languages=("de", "fr"), items=2)
    done = (cell("digits/de/0"), cell("digits/fr/0", error="Nobody answers."), cell("copy/de/0"))
    assert answers_left(RunFile(head, done)) == 7
    assert answers_left(RunFile(header(kinds=("set:mgsm",)), done)) == 0


# ── What is shown ───────────────────────────────────────────────────────────────────────────────


def a_run(languages: tuple[str, ...] = tuple(LANGUAGES), **told: Any) -> RunFile:
    cells = [
        cell(f"{kind}/{code}/{n}", side, outcome=outcome, stayed="stayed" if n % 2 else "left",
             answer=f"{code} {n}")
        for kind in ("stays", "sum_one")
        for n, code in enumerate(languages)
        for side, outcome in (("a", "right" if n % 3 else "wrong"), ("b", "unreadable"))
    ]  # fmt: skip
    fixed = [one.model_copy(update={"item": re.sub(r"\d+$", "0", one.item)}) for one in cells]
    return RunFile(header(languages=languages, **told), tuple(fixed))


def phi(side: str, key: str) -> RunModel:
    return RunModel(side=side, backend="onnx_genai", model=key, label=key)


def test_the_picture_is_small_and_has_every_language() -> None:
    models = (phi("a", "phi-3-mini-4k"), phi("b", "phi-3.5-mini"))
    summary = Summary(a_run(models=models))
    drawn = picture(summary, "right")
    assert len(drawn.encode()) < 20_000
    assert all(f">{one.own_name}</text>" in drawn for one in LANGUAGES.values())
    assert drawn.count('direction="rtl"') == 2
    assert "Published, ranks only" in drawn and drawn.count('class="h"') > 30
    assert not re.search("#[0-9a-f]{6}", drawn)  # only the page's variables
    heads, rows = table(summary, "right")
    assert len(rows) == 26 and len(heads) == 5
    danish = next(row for row in rows if row[0] == "Danish")
    assert danish[3:] == ["not published", "not published"]


def test_no_published_score_stands_beside_a_demonstration() -> None:
    summary = Summary(a_run())
    assert "Published" not in picture(summary, "right")
    assert len(table(summary, "stayed")[0]) == 3


def test_published_scores_are_ranked_within_their_benchmark() -> None:
    place = published().place("phi-3.5-mini", "th")
    assert place and (place.benchmark, place.score) == ("MGSM", 29.6)
    assert (place.rank, place.among) == (8, 8)
    assert published().place("phi-3.5-mini", "da") is None
    assert published().model_of("phi-3-mini-128k") == "phi-3-mini"
    assert published().model_of("phi-3.5-moe") is None
    for scores in published().benchmarks.values():
        assert set(scores) <= set(LANGUAGES) and all(len(pair) == 2 for pair in scores.values())


def test_a_picture_stands_names_that_mean_harm() -> None:
    bad = RunModel(side="a", backend="x", model="y", label="<script>alert(1)</script>")
    drawn = picture(Summary(a_run(models=(bad, phi("b", "z")))), "right")
    assert "<script" not in drawn


def test_a_message_has_what_changed_and_may_be_skipped() -> None:
    board = Board()
    board.begin()
    board.set(headline="one")
    board.add([cell("stays/de/0")])
    first = json.loads(board.message(0))
    assert first["key"] == 1 and len(first["cells"]) == 1
    for n in range(20):
        board.add([cell(f"stays/fr/{n}")])
        told = json.loads(board.message())
        assert len(told["cells"]) <= 10 and f"stays/fr/{n}" in {one[0] for one in told["cells"]}
    assert "headline" not in told
    assert len(json.loads(board.message(0))["cells"]) == 21


def test_one_item_is_shown_with_both_answers_and_its_link() -> None:
    made = items_of(("digits",), ("de",), 1, 1)[0]
    run = RunFile(
        header(kinds=("digits",), languages=("de",), items=1),
        (
            cell(made.id, "a", prompt=made.prompt, expected=7, answer="sieben & mehr"),
            cell(made.id, "b", prompt=made.prompt, answer="", error="Nobody answers."),
        ),
    )
    shown = detail(run, made.id)
    assert shown and shown["english"] == made.english and shown["expected"] == "7"
    assert [one.get("text", "") for one in shown["answers"]] == ["sieben & mehr", ""]
    assert "Nobody answers." in shown["answers"][1]["missing"]
    assert shown["link"].startswith("?a=pocket/pocket-3&b=pocket/pocket-3.5&temperature=0&")
    assert shown["play"] == "" == detail(run, made.id, "runs/x.jsonl")["play"]  # type: ignore[index]
    assert detail(run, "digits/de/9") is None
    assert "prompt" not in link(run, {"prompt": "很" * 3000})


def test_a_run_says_what_and_when_it_was() -> None:
    fields = run_fields(a_run(), "Recorded")
    assert date_of(a_run()) == where_recorded(a_run())[12:] == "29 November 2026"
    assert fields["headline"].startswith("Asked in 26 languages: Pocket-3 answered in 13 of them")
    assert [one["id"] for one in pictures(a_run())] == ["stayed", "right"]
    assert all(one["demo"] for one in fields["models"])
    nothing = run_fields(RunFile(header(), ()), "Asked")
    assert nothing["headline"] == "Asking Pocket-3 and Pocket-3.5 in 2 languages."


# ── Files ───────────────────────────────────────────────────────────────────────────────────────


def test_a_recording_comes_with_the_page() -> None:
    name = files.first()
    assert name
    path = shelf.TOP / name
    assert path.stat().st_size < 1_500_000
    run = shelf.read_listed(name, PUBLIC)
    assert set(run.header.languages) == set(LANGUAGES)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "“mine.jsonl” is empty"),
        (b"hello\n", "“mine.jsonl” is not a run file"),
        (b"\xff\xfe{\0}\0", "“mine.jsonl” is in UTF-16"),
        (jsonl(a_run()).replace('"version":1', '"version":9', 1).encode(), "a newer Phi Playgr"),
        (jsonl(a_run()).replace('"side":"b"', '"side":4', 9).encode(), "“mine.jsonl” "),
    ],
)
def test_a_bad_file_is_refused_by_its_own_name(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(RunFileError, match=re.escape(sentence)) as refused:
        read_named(path, "mine.jsonl")
    assert str(tmp_path) not in str(refused.value)


def test_half_a_line_at_the_end_is_what_a_killed_run_leaves(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(jsonl(a_run()).encode()[:-40])
    assert len(read_named(path, "x").cells) == len(a_run().cells) - 1


def test_only_listed_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "RUNS", tmp_path)
    (tmp_path / "mine.jsonl").write_text(jsonl(a_run()), "utf-8")
    assert "runs/mine.jsonl" in {value for _, value in files.listed(Services().limits)}
    assert "runs/mine.jsonl" not in {value for _, value in files.listed(PUBLIC)}
    assert shelf.read_listed("runs/mine.jsonl", Services().limits).header == a_run().header
    for name in ("runs/../secret.jsonl", "/etc/passwd", ""):
        with pytest.raises(RunFileError):
            shelf.read_listed(name, Services().limits)


def test_a_public_page_keeps_no_run(tmp_path: Path) -> None:
    with shelf.place_for(header(), PUBLIC) as path:
        path.write_text("x", "utf-8")
    assert not path.exists() and not path.is_relative_to(shelf.TOP)
    with shelf.place_for(header(), Services().limits) as path:
        assert path == shelf.RUNS / f"{header().id}.jsonl"


# ── In a browser ────────────────────────────────────────────────────────────────────────────────

MATRIX = "#languages-matrix"
GRID = f"{MATRIX} table[role=grid]"
browser_test = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(
    context: BrowserContext, served: str, puppet: Puppet, tmp_path, monkeypatch
):  # fmt: skip
    """Somebody on the Languages tab, with two puppets to ask."""
    monkeypatch.setattr(shelf, "RUNS", tmp_path)
    REGISTRY["puppet"] = puppet
    visitor = Visitor(await context.new_page(), served, "languages")
    await visitor.page.goto(f"{served}/?tab=languages&a=puppet/one&b=puppet/two")
    await visitor.page.wait_for_selector(f"{MATRIX} tbody tr")
    yield visitor
    assert visitor.faults == [], visitor.faults


async def choose(visitor: Visitor, *codes: str) -> None:
    """Open the inputs, and choose languages."""
    page = visitor.page
    await page.click(f"{MATRIX} [data-act=choose]")
    await page.click("#languages-none")
    await expect(page.locator("#languages-languages input:checked")).to_have_count(0)
    await visitor.sees("#languages-cost", "No language is chosen.")
    for code in codes:
        await page.click(f"#languages-languages label:has-text('{LANGUAGES[code].own_name}')")
    if codes:
        await visitor.sees("#languages-cost", f"{2 * len(codes)} answers")


@browser_test
async def test_the_recorded_run_is_there_at_first(visitor: Visitor) -> None:
    await visitor.sees(f"{MATRIX} .headline", "Asked in 26 languages: Pocket-3 answered in")
    await visitor.sees(f"{MATRIX} .origin", "Recorded on ")
    await expect(visitor.page.locator(f"{GRID} tbody tr")).to_have_count(26)
    arabic = visitor.page.locator(f"{GRID} .own-name[lang=ar]")
    assert await arabic.get_attribute("dir") == "rtl"
    assert "?tab=languages" in visitor.page.url


@browser_test
async def test_keys_move_and_open_the_answers(visitor: Visitor) -> None:
    page = visitor.page
    marks = page.locator(f"{MATRIX} tbody tr >> nth=0 >> .mark")
    await page.focus(f"{MATRIX} tbody [tabindex='0']")
    await page.keyboard.press("ArrowRight")
    await expect(marks.nth(1)).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(f"{MATRIX} tbody tr >> nth=1 >> .mark >> nth=1")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.wait_for_selector(f"{MATRIX} dialog[open]")
    assert await page.locator(f"{MATRIX} dialog .answer").count() == 2
    await visitor.sees(f"{MATRIX} dialog .where", "2 of 12")
    await page.keyboard.press("ArrowRight")
    await visitor.sees(f"{MATRIX} dialog .where", "3 of 12")
    play, ask = [
        str(await one.get_attribute("href"))
        for one in await page.locator(f"{MATRIX} dialog footer a").all()
    ]
    assert play.startswith("?a=pocket/pocket-3&b=pocket/pocket-3.5&") and "prompt=" in ask
    assert "&recording=recordings/pocket.jsonl&item=" in play
    await page.keyboard.press("Escape")
    await expect(page.locator(f"{MATRIX} dialog")).to_be_hidden()
    await expect(page.locator(f"{MATRIX} tbody tr >> nth=1 >> .mark >> nth=1")).to_be_focused()


@browser_test
async def test_only_where_they_differ_and_by_family(visitor: Visitor) -> None:
    page = visitor.page
    await page.check(f"{MATRIX} .differ")
    left = await page.locator(f"{GRID} tbody tr:visible").count()
    assert 0 < left < 26
    await page.uncheck(f"{MATRIX} .differ")
    await page.select_option(f"{MATRIX} .order", "family")
    assert "Romance" in await page.locator(f"{MATRIX} tr.family").all_inner_texts()
    await page.select_option(f"{MATRIX} .kind", "stays")
    assert await page.locator(f"{MATRIX} tbody tr:not(.family) .mark").count() == 26 * 4


@browser_test
async def test_a_run_is_watched_stopped_and_kept(visitor: Visitor, puppet: Puppet) -> None:
    page = visitor.page
    await choose(visitor, "de", "fr")
    await page.click("#languages-run")
    assert await asyncio.to_thread(puppet.wait_open, "one", 1)
    await visitor.sees(f"{MATRIX} .status", "0 of 4 answers")
    puppet.answer("one", "Das ist eine Antwort in deutscher Sprache, wie man sie gern liest.")
    await visitor.sees(f"{MATRIX} .snippet", "Das ist eine Antwort")
    await visitor.sees(f"{MATRIX} .status", "1 of 4 answers")
    await page.click(f"{MATRIX} [data-act=stop]")
    await visitor.sees(f"{MATRIX} .ended", "Stopped. 1 of 4 answers came, and stay.")
    await visitor.sees(f"{MATRIX} .ended", "python -m playground.matrix continue runs/")
    assert await asyncio.to_thread(puppet.wait_open, "one", 0)
    [kept] = shelf.RUNS.glob("*.jsonl")
    assert len(read(kept).cells) == 1
    await page.click(f"{MATRIX} .mark")
    await visitor.sees(f"{MATRIX} dialog", "It was not asked this yet.")


@browser_test
async def test_a_stopped_run_goes_on_in_the_tab(visitor: Visitor, puppet: Puppet) -> None:
    page = visitor.page
    await choose(visitor, "de", "fr")
    await page.click("#languages-run")
    assert await asyncio.to_thread(puppet.wait_open, "one", 1)
    puppet.answer("one", "Das ist eine Antwort in deutscher Sprache, wie man sie gern liest.")
    await visitor.sees(f"{MATRIX} .status", "1 of 4 answers")
    await page.click(f"{MATRIX} [data-act=stop]")
    await visitor.sees(f"{MATRIX} [data-act=go-on]", "Go on: 3 answers are missing")
    assert await asyncio.to_thread(puppet.wait_open, "one", 0)
    # After a reload the recording is there, and the run is in the list.
    await page.reload()
    await visitor.sees(f"{MATRIX} .origin", "Recorded on ")
    await expect(page.locator(f"{MATRIX} [data-act=go-on]")).to_be_hidden()
    await page.click("#languages-files input")
    await page.click("#languages-files [role=option] >> nth=-1")
    await page.click(f"{MATRIX} [data-act=go-on]")
    await visitor.sees(f"{MATRIX} .status", "1 of 4 answers")
    for model, text in (("one", "Oui."), ("two", "Ja, gern."), ("two", "Oui, bien sûr.")):
        assert await asyncio.to_thread(puppet.wait_open, model, 1)
        puppet.answer(model, text)
        assert await asyncio.to_thread(puppet.wait_open, model, 0) or model == "two"
    await expect(page.locator(f"{MATRIX} .going")).to_be_hidden()
    await expect(page.locator(f"{MATRIX} [data-act=go-on]")).to_be_hidden()
    [kept] = shelf.RUNS.glob("*.jsonl")
    assert {cell.answer for cell in read(kept).cells} == {
        "Das ist eine Antwort in deutscher Sprache, wie man sie gern liest.",
        "Oui.",
        "Ja, gern.",
        "Oui, bien sûr.",
    }


@browser_test
async def test_the_cost_is_of_the_last_choice_whichever_request_arrives_first(
    visitor: Visitor,
) -> None:
    page = visitor.page
    await choose(visitor)

    async def hold_first(route: Route) -> None:
        asked = route.request.post_data_json or {}
        if '"de"]' in json.dumps(asked.get("data")):
            await asyncio.sleep(1)
        await route.continue_()

    await page.route("**/run/predict*", hold_first)
    for code in ("de", "fr"):
        await page.click(f"#languages-languages label:has-text('{LANGUAGES[code].own_name}')")
    await page.wait_for_timeout(1500)
    await visitor.sees("#languages-cost", "4 answers")
    await page.unroute_all(behavior="wait")


@browser_test
async def test_what_cannot_be_run_leaves_the_matrix_as_it_is(visitor: Visitor) -> None:
    page = visitor.page
    await page.click(f"{MATRIX} [data-act=choose]")
    await page.click("#languages-none")
    await visitor.sees("#languages-cost", "No language is chosen.")
    await page.click("#languages-run")
    await visitor.sees("#languages-cost [role=alert]", "No language is chosen.")
    assert await page.locator(f"{MATRIX} tbody tr").count() == 26


async def test_a_run_that_is_not_there_is_not_drawn() -> None:
    with gr.Blocks():
        view = LanguagesView(Services(), gr.State(Keyring()))
    assert [step async for step in view.draw(LanguagesSession())] == [gr.skip()]


@browser_test
async def test_a_closed_page_ends_its_run_in_the_browser(
    context: BrowserContext, visitor: Visitor, puppet: Puppet
) -> None:
    await choose(visitor, "de")
    async with visitor.page.expect_response("**/queue/data?*"):  # its stream has begun
        await visitor.page.click("#languages-run")
    assert await asyncio.to_thread(puppet.wait_open, "one", 1)
    await visitor.page.close()
    assert await asyncio.to_thread(puppet.wait_open, "one", 0)


@browser_test
async def test_a_file_is_opened_and_a_bad_one_refused(visitor: Visitor) -> None:
    page = visitor.page
    field = page.locator("input[data-testid='languages-open-file-upload-button'], "
                         "#languages-view input[type=file]").first  # fmt: skip
    bad = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello\n"}
    await field.set_input_files(bad)
    await visitor.sees("#languages-notice", "“notes.txt” is not a run file of Phi Playground")
    chosen, said = page.locator("#languages-view .run-bar"), page.locator("#languages-notice")
    above, below = await chosen.bounding_box(), await said.bounding_box()
    assert above and below and above["y"] + above["height"] <= below["y"]  # nothing covers it
    await visitor.sees(f"{MATRIX} .headline", "Asked in 26 languages")  # nothing is lost
    run = jsonl(a_run(("de", "ar", "fr"))).encode()
    await field.set_input_files({"name": "r.jsonl", "mimeType": "text/plain", "buffer": run})
    await visitor.sees(f"{MATRIX} .headline", "Asked in 3 languages")
    await expect(page.locator("#languages-notice .notice")).to_have_count(0)


@browser_test
async def test_files_and_pictures_are_saved(visitor: Visitor) -> None:
    page = visitor.page
    for kind, begin in (
        ("csv", "\ufeffitem,kind,language"),
        ("jsonl", '{"format":"phi-playground-matrix"'),
        ("md", "# Asked in 26 languages"),
        ("html", "<!doctype html>"),
    ):
        await page.click(f"{MATRIX} .saving summary")
        async with page.expect_download() as saving:
            await page.click(f"{MATRIX} [data-save={kind}]")
        saved = await (await saving.value).path()
        assert saved.read_text("utf-8").startswith(begin)
    await page.click(f"{MATRIX} [data-view=picture]")
    for n, begin in ((0, b"<svg"), (1, b"\x89PNG")):
        async with page.expect_download() as saving:
            await page.click(f"{MATRIX} .picture-bar .save >> nth={n}")
        content = (await (await saving.value).path()).read_bytes()
        assert content.startswith(begin)
        assert n or (b"--a:" in content and b"var(--ink)" in content)


@browser_test
async def test_the_token_tax_needs_no_model(visitor: Visitor) -> None:
    await visitor.page.click(f"{MATRIX} [data-view=tax]")
    await visitor.sees(f"{MATRIX} .tax tbody", "5.7 ×")
    assert await visitor.page.locator(f"{MATRIX} .tax tbody tr").count() == 26


@browser_test
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(visitor: Visitor, scheme: Any) -> None:
    page = visitor.page
    await page.emulate_media(color_scheme=scheme)
    await page.reload()
    await page.wait_for_selector(f"{MATRIX} tbody tr")
    assert await findings(visitor) == set()
    await page.click(f"{MATRIX} [data-act=choose]")
    await page.click("#languages-what label >> nth=3")
    await page.wait_for_selector("#languages-kinds")
    assert await findings(visitor) == set()
    for view in ("picture", "tax"):
        await page.click(f"{MATRIX} [data-view={view}]")
        await page.wait_for_selector(f"{MATRIX} [data-of={view}] table", state="attached")
        assert await findings(visitor) == set()
    await page.click(f"{MATRIX} [data-view=cells]")
    await page.click(f"{MATRIX} tbody .mark")
    await page.wait_for_selector(f"{MATRIX} dialog[open]")
    assert await findings(visitor) == set()


@browser_test
async def test_a_phone_shows_one_model_at_a_time(visitor: Visitor) -> None:
    page = visitor.page
    await page.set_viewport_size({"width": 390, "height": 844})
    other = page.locator(f"{MATRIX} tbody td[data-side=b]:visible")
    await expect(other).to_have_count(0)
    await page.click(f"{MATRIX} .sides [data-side=b]")
    assert await other.count() > 0
    await expect(page.locator(f"{MATRIX} tbody td[data-side=a]:visible")).to_have_count(0)
    await page.reload()  # the tab is in a menu now
    await expect(page.locator(f"{GRID} tbody tr")).to_have_count(26)
    wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth + 1")
    assert not wide


@browser_test
async def test_from_right_to_left_the_picture_is_mirrored(visitor: Visitor) -> None:
    page = visitor.page
    where = """() => {
      const svg = document.querySelector("#languages-matrix figure svg");
      const texts = [...svg.querySelectorAll("text")], figure = svg.getBoundingClientRect();
      const box = texts.find((one) => one.textContent === "Dansk").getBoundingClientRect();
      return [(box.left - figure.left) / figure.width, (box.right - figure.left) / figure.width];
    }"""
    await page.click(f"{MATRIX} [data-view=picture]")
    await page.wait_for_selector(f"{MATRIX} figure svg")
    left, right = await page.evaluate(where)
    await page.evaluate("document.querySelector('#languages-matrix .matrix').dir = 'rtl'")
    await page.click(f"{MATRIX} .picture-bar .views button >> nth=1")
    await page.click(f"{MATRIX} .picture-bar .views button >> nth=0")
    mirrored = await page.evaluate(where)
    assert mirrored == [pytest.approx(1 - right, abs=0.01), pytest.approx(1 - left, abs=0.01)]
