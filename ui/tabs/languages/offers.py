"""Who can be asked, by whom a run begins, and what it would cost."""

from collections.abc import Collection, Mapping

from backends import BackendError, Sentence
from playground.health import backends_for
from playground.keyring import Keyring
from playground.machine import machine
from playground.matrix.pace import seconds_of
from playground.matrix.plan import Cost, Plan
from playground.matrix.run_file import RunFile
from playground.matrix.texts import LanguageFileError
from playground.services import Services
from playground.threads import in_media_thread

from ...compare.default_pair import OPENING_TIMEOUT, default_text_pair
from ...compare.side import letter_of
from ...compare.status import health_of
from ...texts import told
from .asked import MAX_MODELS, AskForm, plan_of
from .choices import NAME


class Offers:
    """The models of one page's services, and the cost of asking them."""

    def __init__(self, services: Services) -> None:
        self.services, self.limits = services, services.limits

    async def ready(self, keyring: Keyring, named: Collection[str] = ()) -> list[tuple[str, str]]:
        """Label and name of every model that can be asked now.

        What takes long to say is left out, but for the backends of models that are `named`.
        """
        monitor = self.services.health
        await monitor.check_all(keyring, within=OPENING_TIMEOUT)
        for name in named:
            await health_of(monitor, name.partition("/")[0], keyring)
        known = (monitor.last(one, keyring) for one in backends_for(self.limits, keyring))
        return [
            (f"{offer.spec.label} · {health.backend.label}", f"{health.backend.id}/{offer.model}")
            for health in known
            if health
            for offer in health.offers
            if offer.status.ready and "text" in offer.spec.modalities
        ]

    async def first(
        self, keyring: Keyring, ready: Collection[str], named: Collection[str]
    ) -> list[str]:
        """Those of the named models that are ready; else the pair that the Text tab opens with."""
        if known := [one for one in named if one in ready]:
            return list(dict.fromkeys(known))
        pair = await default_text_pair(self.services, keyring)
        chosen = [f"{one.backend.id}/{offer.model}" for one, offer in (pair.left, pair.right)]
        return [name for name in dict.fromkeys(chosen) if name in ready]

    async def cost(self, form: AskForm, keyring: Keyring, shown: RunFile | None) -> str:
        """What a run would cost, as HTML, or what is missing; `shown` may tell the models' pace."""
        try:
            plan = await plan_of(form, self.services, keyring)
        except (BackendError, LanguageFileError) as error:
            return cost_html(str(error))
        cost = await plan.cost()
        seconds = await in_media_thread(_seconds, plan, shown)
        words = Sentence("{cost}.", cost=str(Cost(cost.answers, cost.tokens, seconds)))
        how = "" if seconds is None else "By the pace of the run below."
        ends = "It ends with this page; from the command line it goes on."
        if self.limits.public:
            ends = "It ends with this page."
        return cost_html(Sentence.chain(words, how, ends))


def named_models(query: Mapping[str, str]) -> list[str]:
    """The models of an address, as on the Text tab: `a=pocket/pocket-3&b=…`."""
    if query.get("tab") != NAME:
        return []
    named = (query.get(letter_of(side), "") for side in range(MAX_MODELS))
    return [one for one in named if one]


def cost_html(text: str) -> str:
    """A sentence about the cost."""
    return f"<p>{told(text)}</p>"


def _seconds(plan: Plan, shown: RunFile | None) -> float | None:
    return seconds_of(plan, [shown] if shown else [], machine())
