"""What the page does, in numbers for Prometheus; imported only where they are asked for."""

from collections.abc import Iterator

import psutil
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from backends import REGISTRY

from .in_flight import AnswerReport
from .services import Services

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
RATES = (1, 2, 5, 10, 20, 40, 80, 160, 320, 640)


class Metrics:
    """The numbers of one page. Their only labels are ids of backends and codes: both are few."""

    def __init__(self, services: Services) -> None:
        self.registry = own = CollectorRegistry()
        of = ["backend"]
        self._answers = Counter(
            "phi_answers", "Answers that have ended", [*of, "state"], registry=own
        )
        self._errors = Counter(
            "phi_answer_errors", "Answers that failed, by the failure", [*of, "code"], registry=own
        )
        self._tokens = Counter("phi_tokens", "Tokens of answers", of, registry=own)
        self._first = Histogram(
            "phi_first_token_seconds",
            "From the question to the first token, waiting included",
            of, buckets=SECONDS, registry=own,
        )  # fmt: skip
        self._queued = Histogram(
            "phi_queued_seconds", "Time that answers stood in line",
            of, buckets=SECONDS, registry=own,
        )  # fmt: skip
        self._rate = Histogram(
            "phi_tokens_per_second", "Decoding speed of an answer",
            of, buckets=RATES, registry=own,
        )  # fmt: skip
        own.register(_Now(services))
        services.in_flight.observers.append(self._add)

    def serve(self, host: str, port: int) -> None:
        """Answer at an address of its own, in threads of its own. Raises `OSError`."""
        start_http_server(port, host, self.registry)

    def _add(self, report: AnswerReport) -> None:
        name = report.backend
        self._answers.labels(name, report.state).inc()
        if report.error:
            self._errors.labels(name, report.error).inc()
        self._tokens.labels(name).inc(report.tokens)
        self._queued.labels(name).observe(report.queued)
        if report.first_token is not None:
            self._first.labels(name).observe(report.first_token)
        if report.tokens_per_second is not None:
            self._rate.labels(name).observe(report.tokens_per_second)


class _Now(Collector):
    """What is looked up when somebody asks."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """Give the answers that are being made, and the memory that is held."""
        active = GaugeMetricFamily("phi_answers_active", "Answers at work", labels=["backend"])
        waiting = GaugeMetricFamily("phi_answers_waiting", "Answers in line", labels=["backend"])
        models = GaugeMetricFamily(
            "phi_model_memory_bytes", "Memory of loaded models' processes", labels=["backend"]
        )
        counts = self._services.in_flight.counts()
        for name, backend in sorted(REGISTRY.items()):
            working, in_line = counts.get(name, (0, 0))
            active.add_metric([name], working)
            waiting.add_metric([name], in_line)
            models.add_metric([name], sum(size for _, size in backend.in_memory()))
        yield from (active, waiting, models)
        memory = psutil.Process().memory_info().rss
        yield GaugeMetricFamily("phi_page_memory_bytes", "Memory of the page's process", memory)
