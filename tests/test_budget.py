"""What visitors may spend on the owner's keys: a day's budget, and a share of it for each."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from backends import Connection, Message, RateLimitError, ServerError
from playground import budget as module
from playground.answer import Request
from playground.budget import Budget
from playground.compare import complete
from playground.health import HealthMonitor
from playground.limits import LOCAL, PUBLIC
from playground.visitors import Visitor, visitor_address
from tests.fakes import Scripted, last, said


def ask(budget: Budget, visitor: str, *steps: object) -> Request:
    backend = Scripted(*(steps or (said("Hi"), last(3, 1))))
    return Request(
        backend, "fake", (Message.of("user", "x" * 40),), visitor=Visitor(visitor, None, budget)
    )


async def test_a_visitor_has_a_tenth_and_all_together_the_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    budget = Budget(requests=30, tokens=1_000_000)
    states = [(await complete(ask(budget, "one"))).state for _ in range(5)]
    assert states == ["done"] * 3 + ["failed"] * 2
    refused = await complete(ask(budget, "one"))
    assert isinstance(refused.error, RateLimitError)
    assert "You have used up" in str(refused.error) and "a key of your own" in str(refused.error)
    for n in range(9):
        for _ in range(3):
            assert (await complete(ask(budget, f"visitor {n}"))).state == "done"
    refused = await complete(ask(budget, "the last"))
    assert "All visitors together have used up" in str(refused.error)

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=1)

    monkeypatch.setattr(module, "datetime", Tomorrow)
    assert (await complete(ask(budget, "one"))).state == "done"


async def test_tokens_are_counted_as_the_service_says_and_what_is_left_is_given_back() -> None:
    budget = Budget(requests=1000, tokens=20_000)
    states = [
        (await complete(ask(budget, "one", said("a" * 160, tokens=40), last(150, 40)))).state
        for _ in range(8)
    ]
    # Each may take 10 + 1,024 of the share of 2,000, but takes 150 + 40: the seventh does not fit.
    assert states == ["done"] * 6 + ["failed"] * 2
    assert (await complete(ask(budget, "two"))).state == "done"


async def test_a_failed_and_a_stopped_answer_cost_what_came_of_them() -> None:
    budget = Budget(requests=1000, tokens=30_000)
    await complete(ask(budget, "one", said("a", tokens=1), ServerError("It fell over.")))
    with budget.spending("one", 2900) as left:  # 10 of the prompt and 1 are gone, no more
        left.tokens = 0


async def test_what_costs_the_owner_nothing_spends_nothing() -> None:
    from backends import REGISTRY

    own, none = Connection(None, "my key"), None
    hosted, local = REGISTRY["nvidia_nim"], REGISTRY["pocket"]
    assert PUBLIC.visitor(hosted, none).budget is PUBLIC.budget is not None
    assert PUBLIC.visitor(hosted, own).budget is None
    assert PUBLIC.visitor(local, none).budget is None
    assert LOCAL.visitor(hosted, none).budget is None and LOCAL.visitor(hosted, none).places is None


class Probed(Scripted):
    """A hosted backend that counts how often it is asked to try its models out."""

    id, kind, probe_requests, probes = "probed", "hosted", 12, 0

    async def probe(self, connection: Connection | None = None) -> None:
        self.probes += 1


async def test_checking_models_out_is_paid_from_the_budget_and_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("playground.health.MIN_INTERVAL", 0.0)
    backend = Probed()
    monitor = HealthMonitor(replace(PUBLIC, budget=Budget(requests=20, tokens=1000)))
    for _ in range(5):
        await monitor.check(backend, refresh=True)
    assert backend.probes == 1
    monkeypatch.setattr("playground.health.PROBE_INTERVAL", 0.0)
    await monitor.check(backend, refresh=True)
    assert backend.probes == 1  # 12 more do not fit into 20
    await HealthMonitor(LOCAL).check(backend, refresh=True)
    assert backend.probes == 2  # nobody's budget: on one's own page


@pytest.mark.parametrize(
    ("client", "forwarded", "visitor"),
    [
        ("93.184.216.34", [], "93.184.216.34"),
        ("10.0.0.1", ["93.184.216.34"], "93.184.216.34"),
        ("10.0.0.1", ["1.1.1.1, 93.184.216.34, 10.2.3.4"], "93.184.216.34"),
        ("10.0.0.1", ["1.1.1.1", "93.184.216.34"], "93.184.216.34"),
        ("10.0.0.1", ["93.184.216.34, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("::ffff:93.184.216.34", [], "93.184.216.34"),
        ("2606:4700:1:2:3:4:5:6", [], "2606:4700:0001:0002"),
        ("10.0.0.1", ["2606:4700:1:2::9"], "2606:4700:0001:0002"),
        ("testclient", [], "testclient"),
    ],
)
def test_who_a_visitor_is(client: str, forwarded: list[str], visitor: str) -> None:
    assert visitor_address(client, forwarded) == visitor
