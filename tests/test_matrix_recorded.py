"""Recorded answers: what a run keeps of their pace, and how they are played again."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, expect

from backends import BackendConnectionError, BadRequestError, Chunk
from playground.answer import AnswerBuilder
from playground.compare import complete
from playground.matrix import recorded, shelf
from playground.matrix.chunks import TimedAnswer, TimedText, timed_texts
from playground.matrix.recorded import Recorded, has_pace, recorded_requests
from playground.matrix.run_file import RunFile, jsonl, read
from playground.matrix.runner import run
from tests.fakes import Scripted, last, said
from tests.matrix_runs import cell, header, plan, score
from tests.pages import Visitor, answer_of, button_of, line_of

CHUNKS = "170.4:3 0.6:2 12:1:2"


def timed(*chunks: Chunk) -> TimedAnswer:
    answer = TimedAnswer()
    answer.began = 100.0
    for chunk in chunks:
        answer.add(chunk)
    return answer


def test_the_pieces_of_an_answer_are_kept_with_their_times() -> None:
    answer = timed(
        Chunk("Ein", 1, at=101.1704), Chunk(" W", 1, at=101.171), Chunk("o", 2, at=101.183)
    )
    assert answer.chunks(waited=1.0) == CHUNKS
    assert list(timed_texts("Ein Wort", CHUNKS)) == [
        TimedText(0.1704, "Ein", 1),
        TimedText(0.171, " W", 1),
        TimedText(0.183, "ort", 2),  # the last has all that is left
    ]


def test_thinking_is_no_piece_of_the_answer() -> None:
    answer = timed(
        Chunk("Hmm, that ", 3, at=100.5),
        Chunk("is easy.\n</think>\n\nYes", 4, at=100.6),
        Chunk("!", 1, at=101),
    )
    assert answer.text == "Yes!"
    assert "".join(piece.text for piece in timed_texts(answer.text, answer.chunks(0))) == "Yes!"
    assert next(timed_texts("Yes!", answer.chunks(0))).text == ""


@pytest.mark.parametrize("bad", ["170", "x:1", "1:x", "1:2:3:4", "-1:2", "1:-2"])
def test_what_is_no_piece_of_an_answer_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"piece|could not|invalid|unpack"):
        list(timed_texts("Yes", f"{bad} 1:1"))


async def test_a_run_keeps_how_its_answers_came(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    await run(plan(Scripted(said("ye"), said("s"), last(2, 2))), path, score=score)
    for one in read(path).cells:
        assert [piece.text for piece in timed_texts("yes", one.chunks)] == ["ye", "s"]
        assert has_pace(read(path), one.item)


class Clock:
    """The time of `playground.matrix.recorded`, which passes only while it sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.sleeps = 1000.0, list[float]()
        monkeypatch.setattr(recorded.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(recorded.asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(round(seconds, 6))
        self.now += seconds


async def play(**told: Any) -> list[Chunk]:
    one = cell("stays/de/0", answer="Ein Wort", answer_tokens=4, **told)
    return [step async for step in Recorded(one).stream("", (), None) if isinstance(step, Chunk)]  # type: ignore[arg-type]


async def test_a_recorded_answer_comes_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    *chunks, end = await play(chunks=CHUNKS)
    assert clock.sleeps == [0.1704, 0.0006, 0.012]
    assert [(one.text, one.tokens) for one in chunks] == [("Ein", 1), (" W", 1), ("ort", 2)]
    assert [round(one.at - 1000, 6) for one in chunks] == [0.1704, 0.171, 0.183]
    assert end.finish_reason == "stop" and end.usage and end.usage.input_tokens == 9


async def test_tokens_that_were_counted_at_the_end_are_those_of_the_end() -> None:
    chunks = await play(chunks="0:3 0:2 0:1")
    assert [one.tokens for one in chunks] == [None] * 4
    assert chunks[-1].usage and chunks[-1].usage.output_tokens == 4


@pytest.mark.parametrize("chunks", ["", "not:a:pace"])
async def test_without_a_pace_it_comes_at_once_at_its_end(
    chunks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    [one, _] = await play(chunks=chunks)
    assert (one.text, one.tokens, clock.sleeps) == ("Ein Wort", 4, [1.5])


async def test_what_failed_when_it_was_recorded_fails_again() -> None:
    with pytest.raises(BackendConnectionError, match=r"When this was recorded: Nobody answers\."):
        await play(error="Nobody answers.")
    with pytest.raises(BadRequestError, match="“context_length”"):
        await play(finish="context_length", chunks="0:8:4")


async def test_the_speed_is_the_recorded_one() -> None:
    """Ten tokens of 20 ms each after the first: 50 tokens/s, however late they are shown."""
    pace = "0:1 " + " ".join(["20:1"] * 10)
    ended = "2026-11-29T12:00:02+00:00"
    one = cell("stays/de/0", answer="x" * 11, answer_tokens=11, chunks=pace, at=ended)
    [request] = recorded_requests(RunFile(header(), (one,)), "stays/de/0").values()
    answer = await complete(request, AnswerBuilder())
    assert answer.text == "x" * 11 and answer.clock.tokens_per_second == pytest.approx(50)
    assert (answer.clock.tokens, answer.clock.token_source) == (11, "engine")
    assert request.asked_at == "2026-11-29T12:00:00+00:00"  # 1.5 seconds before it ended


async def test_waiting_here_is_no_part_of_the_recorded_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    one = cell("stays/de/0", answer="Ein Wort", answer_tokens=4, chunks=CHUNKS)
    [request] = recorded_requests(RunFile(header(), (one,)), "stays/de/0").values()
    answer = AnswerBuilder()
    clock.now += 5  # the page was busy, and it stood in line
    times = (await complete(request, answer)).clock
    assert times.queued == 0 and times.load == 0
    assert times.first_token == pytest.approx(0.1704) and times.total == pytest.approx(0.183)


def test_an_item_that_was_not_asked_has_no_request() -> None:
    assert recorded_requests(RunFile(header(), (cell(),)), "stays/de/0") == {}
    assert recorded_requests(RunFile(header(), (cell(side="d"),)), cell().item) == {}


# ── In a browser ────────────────────────────────────────────────────────────────────────────────

browser_test = pytest.mark.asyncio(loop_scope="session")
SLOW = "100:4 " + " ".join(["60000:5"] * 3)


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "RUNS", tmp_path)
    told = {"prompt": "Sprich!", "answer_tokens": 2}
    quick = cell("stays/de/0", **told, answer="Ein kurzer Satz.", chunks="1:3 5:13")
    slow = cell("stays/de/0", "b", **told, answer="Kein Ende in Sicht.", chunks=SLOW)
    (tmp_path / "r.jsonl").write_text(jsonl(RunFile(header(), (quick, slow))), "utf-8")


@browser_test
async def test_a_recording_is_played_and_stopped_in_the_text_tab(
    context: BrowserContext, served: str, recording: None
) -> None:
    visitor = Visitor(await context.new_page(), served)
    page = visitor.page
    await visitor.open("?a=puppet/one&b=puppet/two&recording=runs/r.jsonl&item=stays/de/0")
    await visitor.sees(answer_of("a"), "Ein kurzer Satz.")
    await visitor.sees(answer_of("b"), "Kein")
    await visitor.sees("#text-notice", "This is a recording: nobody is asked now.")
    await visitor.sees("#text-transcript .cell[data-side=a]", "Recorded on 29 November 2026")
    await visitor.sees("#text-transcript .turn[data-last] .prompt", "Sprich!")
    assert "recording" not in page.url
    await page.click("#text-stop")
    await visitor.finished()
    await visitor.sees(line_of("b"), "stopped")
    assert "Ende" not in await visitor.text(answer_of("b"))
    await visitor.sees(line_of("a"), "2 tokens")
    # The models here may be asked now, and say whose answer it is.
    await page.reload()
    await visitor.sees("#text-transcript .cell[data-side=a]", "Recorded on 29 November 2026")
    await expect(page.locator(button_of("a", "continue"))).to_be_hidden()
    assert visitor.faults == []


@browser_test
@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("recording=runs/../x&item=stays/de/0", "That file is not there any more"),
        ("recording=runs/r.jsonl&item=stays/fr/0", "This link names a recorded answer that is"),
    ],
)
async def test_a_recording_that_is_not_there_is_said(
    context: BrowserContext, served: str, recording: None, query: str, sentence: str
) -> None:
    visitor = Visitor(await context.new_page(), served)
    await visitor.open(f"?a=puppet/one&b=puppet/two&{query}")
    await visitor.sees("#text-notice", sentence)
    assert visitor.faults == []
