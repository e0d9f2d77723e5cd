"""One download for all who want a model: watched by many, or by nobody, ended by one."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import gradio as gr
import pytest

from backends import (
    REGISTRY,
    BackendConnectionError,
    Connection,
    Health,
    Offer,
    Progress,
    Status,
)
from playground.downloads import Download, Downloads
from playground.keyring import Keyring
from playground.services import Services
from tests.fakes import SPEC, Scripted
from ui.compare.pickers import Pickers
from ui.compare.view import CompareView
from ui.events import Updates


class Far(Scripted):
    """Comes step by step, as the test says; a step may be an error."""

    id = "far"

    async def check(self, connection: Connection | None = None) -> Health:
        away = Offer("phi", SPEC, Status("not installed", "Not here yet."), download_size=7)
        return Health(away.status, [away])

    def __init__(self) -> None:
        self.steps: asyncio.Queue[float | Exception | None] = asyncio.Queue()
        self.begun, self.closed = 0, 0

    async def download(
        self, model: str, connection: Connection | None = None
    ) -> AsyncGenerator[Progress, None]:
        self.begun += 1
        try:
            while (step := await self.steps.get()) is not None:
                if isinstance(step, Exception):
                    raise step
                yield Progress("downloading", step)
        finally:
            self.closed += 1


async def seen(download: Download) -> list[float | None]:
    return [step.fraction async for step in download.steps()]


async def reaches(download: Download, fraction: float) -> None:
    async for step in download.steps():
        if step.fraction == fraction:
            return


async def test_two_pages_show_one_download() -> None:
    far, downloads = Far(), Downloads()
    first, second = downloads.start(far, "a"), downloads.start(far, "a")
    assert first is second and downloads.find(far, "a") is first
    watching = [asyncio.ensure_future(seen(first)) for _ in range(2)]
    for fraction in (0.25, 0.5):
        far.steps.put_nowait(fraction)
        await reaches(first, fraction)
    far.steps.put_nowait(None)
    assert [steps[-1] for steps in await asyncio.gather(*watching)] == [0.5, 0.5]
    assert far.begun == 1 and first.ended and not first.error and not first.cancelled
    assert downloads.find(far, "a") is None


async def test_it_goes_on_while_nobody_looks() -> None:
    far = Far()
    download = Downloads().start(far, "a")
    watching = asyncio.ensure_future(seen(download))
    await asyncio.sleep(0)
    watching.cancel()
    far.steps.put_nowait(0.5)
    far.steps.put_nowait(None)
    assert (await seen(download))[-1] in (None, 0.5)
    assert download.ended and not download.cancelled


async def test_cancel_ends_it_for_all_and_closes_it() -> None:
    far, downloads = Far(), Downloads()
    download = downloads.start(far, "a")
    watching = [asyncio.ensure_future(seen(download)) for _ in range(2)]
    far.steps.put_nowait(0.5)
    await reaches(download, 0.5)
    download.cancel()
    await asyncio.gather(*watching)
    assert download.cancelled and far.closed == 1
    assert downloads.start(far, "a") is not download


async def test_a_failure_is_kept_and_a_bug_surfaces() -> None:
    far, downloads = Far(), Downloads()
    far.steps.put_nowait(BackendConnectionError("The line broke.", "Try again."))
    failed = downloads.start(far, "a")
    await seen(failed)
    assert str(failed.error) == "The line broke. Try again."
    far.steps.put_nowait(RuntimeError("ours"))
    with pytest.raises(RuntimeError, match="ours"):
        await seen(downloads.start(far, "a"))


async def test_another_machine_is_another_download() -> None:
    far, downloads = Far(), Downloads()
    here, there = downloads.start(far, "a"), downloads.start(far, "a", Connection("http://b"))
    assert here is not there
    for one in (here, there):
        one.cancel()


@pytest.fixture
def picker(monkeypatch: pytest.MonkeyPatch) -> Pickers:
    """The left side's pickers of a page of its own."""
    monkeypatch.setitem(REGISTRY, Far.id, Far())
    with gr.Blocks():
        return CompareView("text", Services(), gr.State(Keyring())).pickers[0]


async def test_a_row_that_is_shown_again_is_watched_to_the_end(picker: Pickers) -> None:
    """As when the page's opening, which looks at the machine first, comes after the press."""
    far, keyring = REGISTRY[Far.id], Keyring()
    assert isinstance(far, Far)
    picker.fetch(keyring, Far.id, "phi", "pocket-3")
    download = picker.services.downloads.find(far, "phi")
    assert download
    watching = picker.watch(keyring)
    await anext(watching)
    picker.show_download(keyring, download, "pocket-3")
    far.steps.put_nowait(0.5)
    assert "50 %" in (await anext(watching))[picker.pane.state]
    far.steps.put_nowait(None)
    assert [step async for step in watching] == [gr.skip()] and download.ended
    updates = await picker.on_download_end(keyring)
    assert updates[picker.pane.model].value == "phi"


async def test_what_is_drawn_later_has_a_higher_number(picker: Pickers) -> None:
    """By it the page sees that an old answer came after a new one, and asks for the row anew."""

    def number(updates: Updates) -> int:
        return int(updates[picker.pane.state].split('data-row="')[1].split('"')[0])

    def row(updates: Updates) -> list[Any]:
        return [
            updates[picker.pane.state],
            *(updates[one].visible for one in picker.outputs[3:]),
        ]

    far, keyring = REGISTRY[Far.id], Keyring()
    shown = await picker.show_state(keyring, Far.id, "phi")
    asked = await picker.ask_to_download(keyring, Far.id, "phi")
    begun = picker.fetch(keyring, Far.id, "phi", "phi")
    watching = picker.watch(keyring)
    step = await anext(watching)
    cancelled = await picker.cancel(keyring, Far.id, "phi")
    assert number(shown) < number(asked) < number(begun) == number(step) < number(cancelled)
    # The last step says nothing: Gradio draws it once more, over what was drawn since.
    assert [step async for step in watching] == [gr.skip()]
    assert [step async for step in picker.watch(keyring)] == [gr.skip()]
    assert await picker.on_download_end(keyring) == gr.skip()
    assert row(await picker.redraw(keyring, Far.id, "phi")) == row(cancelled)
    asked = await picker.ask_to_download(keyring, Far.id, "phi")
    assert row(await picker.redraw(keyring, Far.id, "phi")) == row(asked) != row(cancelled)
    assert picker.services.downloads.find(far, "phi") is None
