"""What is told of answers: the log in JSON, and Prometheus's numbers; and what never is."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from backends import REGISTRY, Connection, Message, RateLimitError
from playground.answer import AnswerBuilder, Request
from playground.answer_log import LOGGER, log_answer
from playground.compare import Run, complete
from playground.in_flight import RestartingError
from playground.metrics import Metrics
from playground.services import Services
from tests.fakes import Fed, Scripted, last, said
from tests.pages import free_port
from tests.real_server import wait_until_up
from ui.middleware.log import JsonFormatter

ROOT = Path(__file__).resolve().parent.parent
SECRET = "sk-not-to-be-told"
ASKED = (Message.of("user", "A secret question"),)


def request(backend: Scripted, model: str = "fake") -> Request:
    connection = Connection("http://10.9.8.7:8000/v1", SECRET)
    return Request(backend, model, ASKED, connection=connection)


async def turns() -> None:
    """Let everything that is ready run; the fakes wait for nothing but the test."""
    for _ in range(20):
        await asyncio.sleep(0)


def numbers(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample: its name and the values of its labels, and its value."""
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_an_answer_has_one_line_without_its_words_and_keys(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Services()
    services.in_flight.observers.append(log_answer)
    monkeypatch.setattr(LOGGER, "propagate", True)
    good = Scripted(said("Some", 1.0), said(" words"), last(3, 2))
    await services.health.check(good)
    with caplog.at_level(logging.INFO, LOGGER.name):
        await complete(request(good), services=services)
        await complete(request(good, f"typed {SECRET}"), services=services)
        await complete(request(Scripted(RateLimitError("Slow", "down"))), services=services)
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert not any(one in line for line in lines for one in (SECRET, "10.9.8.7", "words", "quest"))
    told = [json.loads(line) for line in lines]
    assert [one["model"] for one in told] == ["fake", "other", "fake"]
    assert [one["state"] for one in told] == ["done", "done", "failed"]
    assert [one["error"] for one in told] == [None, None, "rate_limit"]
    assert [one["tokens"] for one in told] == [2, 2, 0]
    assert len({one["id"] for one in told}) == 3 and all(
        one["backend"] == "scripted" for one in told
    )


async def test_prometheus_is_told_by_backend_and_code_and_nothing_else() -> None:
    services = Services()
    metrics, named = Metrics(services), Scripted(said("One", 1.0), last())
    named.id = "scripted:http-10-9-8-7"  # as a server that a visitor added
    await complete(request(named), services=services)
    await complete(request(Scripted(RateLimitError("Slow", "down"))), services=services)
    found = numbers(metrics)
    assert found["phi_answers_total", "scripted", "done"] == 1
    assert found["phi_answers_total", "scripted", "failed"] == 1
    assert found["phi_answer_errors_total", "scripted", "rate_limit"] == 1
    assert found["phi_tokens_total", "scripted"] == 1
    assert found["phi_first_token_seconds_count", "scripted"] == 1
    assert found["phi_page_memory_bytes",] > 10_000_000
    assert {label for name, label in (k for k in found if len(k) == 2)} == {*REGISTRY, "scripted"}


async def test_answers_at_work_and_in_line_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    services, backend = Services(), Fed()
    monkeypatch.setattr(Fed, "max_concurrent", 1)
    monkeypatch.setitem(REGISTRY, "fed", backend)
    metrics = Metrics(services)
    run = Run([request(backend), request(backend)], services)
    run.start()
    await turns()
    found = numbers(metrics)
    assert (found["phi_answers_active", "fed"], found["phi_answers_waiting", "fed"]) == (1, 1)
    await run.close()
    found = numbers(metrics)
    assert (found["phi_answers_active", "fed"], found["phi_answers_waiting", "fed"]) == (0, 0)
    assert found["phi_answers_total", "fed", "stopped"] == 2


async def test_an_observer_that_fails_loses_no_answer() -> None:
    services = Services()

    def broken(_: object) -> None:
        raise OSError("the disk is full")

    services.in_flight.observers.append(broken)
    snapshot = await complete(request(Scripted(said("Here", 1.0), last())), services=services)
    assert (snapshot.state, snapshot.text) == ("done", "Here")


async def test_draining_lets_answers_end_and_ends_the_others_with_what_came() -> None:
    services, quick, slow = Services(), Fed(), Fed()
    run = Run([request(quick), request(slow)], services)
    shown: list[object] = []

    async def watch() -> None:
        async for every in run.snapshots():
            shown.append(every)

    watching = asyncio.create_task(watch())
    for one in (quick, slow):
        one.feed("Half")
    await turns()
    assert quick.open and slow.open
    draining = asyncio.create_task(services.drain(0.3, 1.0))
    await asyncio.sleep(0)
    assert services.phase == "stopping"
    refused = await complete(request(Fed()), AnswerBuilder(), services)
    assert isinstance(refused.error, RestartingError)
    quick.feed(" and half", last(), None)
    await watching
    services.unfinished.discard(run)  # as the page does when it has written it down
    await draining
    first, second = run.snapshot()
    assert first and (first.state, first.text, first.error) == ("done", "Half and half", None)
    assert second and (second.state, second.text) == ("failed", "Half")
    assert isinstance(second.error, RestartingError)
    assert shown[-1] == (first, second)


def test_metrics_have_a_port_of_their_own(tmp_path: Path) -> None:
    port, numbers_port, log = free_port(), free_port(), tmp_path / "log"
    command = [sys.executable, "app.py", "--port", str(port), "--no-browser", "--public"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--metrics", str(numbers_port)], cwd=ROOT, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output, env=os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"},
        )  # fmt: skip
    try:
        wait_until_up(f"http://127.0.0.1:{port}/healthz", process, log)
        told = httpx.get(f"http://127.0.0.1:{numbers_port}/metrics", timeout=60)
        assert "phi_answers_waiting" in told.text
        assert httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).status_code == 404
        health = httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=60)
        assert (health.status_code, health.json()) == (200, {"status": "ready"})
    finally:
        process.kill()
        process.wait()
