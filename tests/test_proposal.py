"""What is offered instead of the built-in models: by memory, disk, GPUs, and what is here."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from backends import MODELS, REGISTRY, Capacity, Offer, Status
from playground.health import BackendHealth
from ui.compare.proposal import FAMILIES, Proposal, button_label, propose, question, speed_of

GB = 1_000_000_000
HAS = Capacity(16 * GB, 9 * GB, (), 74 * GB)
READY = Status("ready", "On this machine.", "ready_local")
AWAY = Status("not installed", "Not on this machine yet.", "not_downloaded")
NO_PACKAGE = Status(
    "not installed", "Needs onnxruntime_genai. Install with: pip install it", "missing_packages"
)


def int4(key: str, status: Status = AWAY, kept: int = 0) -> Offer:
    return Offer(
        f"microsoft/{key}-onnx", MODELS[key], status,
        download_size=None if status.ready else 2_750_000_000, kept_size=kept,
        memory=3_750_000_000, bytes_per_token=2_300_000_000,
    )  # fmt: skip


def bf16(key: str, status: Status = AWAY) -> Offer:
    size = None if status.ready else MODELS[key].weights_size
    return Offer(f"microsoft/{key}", MODELS[key], status, size)


def health(backend: str, *offers: Offer) -> BackendHealth:
    return BackendHealth(
        status=offers[0].status,
        offers=offers,
        backend=REGISTRY[backend],
        checked_at=datetime.now(UTC),
    )


def offered(has: Capacity, onnx: tuple[Offer, ...] = (), torch: tuple[Offer, ...] = ()) -> Proposal:
    """What is proposed with these offers; by default all could be fetched."""
    onnx = onnx or (int4("phi-3.5-mini"), int4("phi-3-mini-128k"), int4("phi-3-mini-4k"))
    torch = torch or (bf16("phi-3-mini-4k"), bf16("phi-3-mini-128k"), bf16("phi-3.5-mini"))
    known = {
        "onnx_genai": health("onnx_genai", *onnx),
        "transformers": health("transformers", *torch),
    }
    return propose(known, has)


def names(proposal: Proposal) -> list[tuple[int, str, str]]:
    return [(one.side, one.backend.backend.id, one.offer.spec.key) for one in proposal.models]


BOTH_INT4 = [(0, "onnx_genai", "phi-3-mini-128k"), (1, "onnx_genai", "phi-3.5-mini")]
BOTH_BF16 = [(0, "transformers", "phi-3-mini-128k"), (1, "transformers", "phi-3.5-mini")]
ONE_INT4 = [(1, "onnx_genai", "phi-3.5-mini")]


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        (HAS, BOTH_INT4),
        (replace(HAS, memory=8 * GB), ONE_INT4),
        (replace(HAS, free_disk=4 * GB), ONE_INT4),
        (replace(HAS, gpus=(24 * GB,)), BOTH_BF16),
        (replace(HAS, gpus=(12 * GB, 12 * GB)), BOTH_BF16),
        (replace(HAS, gpus=(24 * GB,), free_disk=10 * GB), BOTH_INT4),
        (replace(HAS, gpus=(12 * GB,)), BOTH_INT4),
        (replace(HAS, gpus=(12 * GB,), memory=8 * GB), [(1, "transformers", "phi-3.5-mini")]),
        (replace(HAS, gpus=(4 * GB,)), BOTH_INT4),
    ],
    ids=[
        "a laptop", "little memory", "a full disk", "a large GPU", "two GPUs",
        "a large GPU, a full disk", "a GPU for one", "a GPU for one, little memory", "a small GPU",
    ],
)  # fmt: skip
def test_what_fits_is_offered(has: Capacity, expected: list[tuple[int, str, str]]) -> None:
    proposal = offered(has)
    assert names(proposal) == expected and proposal.missing == proposal.models
    assert bool(proposal.reason) == (len(expected) == 1)


@pytest.mark.parametrize(
    ("has", "words"),
    [
        (
            replace(HAS, memory=4 * GB),
            "Phi-3.5-mini needs 3.8 GB of memory beside 2.0 GB for the system; this computer has "
            "4.0 GB.",
        ),
        (
            replace(HAS, free_disk=GB),
            "Phi-3.5-mini needs 2.8 GB on the disk; 1.0 GB is free. Make room, or point HF_HOME to "
            "a larger disk.",
        ),
    ],
)
def test_what_does_not_fit_is_said_with_numbers(has: Capacity, words: str) -> None:
    proposal = offered(has)
    assert not proposal.models and proposal.reason == words


def test_one_of_two_says_what_the_other_would_need() -> None:
    proposal = offered(replace(HAS, memory=8 * GB))
    assert "Phi-3-mini and Phi-3.5-mini together need 7.5 GB of memory" in proposal.reason
    assert question(proposal, HAS)[1].endswith(proposal.reason)


def test_what_came_already_needs_no_disk() -> None:
    kept = (int4("phi-3.5-mini", kept=2 * GB), int4("phi-3-mini-128k", kept=2 * GB))
    full = replace(HAS, free_disk=2 * GB)
    assert len(offered(full, kept).missing) == 2
    assert not offered(full).models
    assert "4.0 GB of it came before." in question(offered(full, kept), full)[1]


def test_one_that_is_here_is_kept_and_the_other_fetched() -> None:
    proposal = offered(HAS, (int4("phi-3.5-mini", READY), int4("phi-3-mini-128k")))
    assert names(proposal) == BOTH_INT4
    assert [one.name for one in proposal.missing] == ["Phi-3-mini"]
    assert button_label(proposal, HAS) == "Get Phi-3-mini (2.8 GB)"
    small = offered(
        replace(HAS, memory=8 * GB), (int4("phi-3-mini-4k", READY), int4("phi-3.5-mini"))
    )
    assert [one.offer.spec.key for one in small.models] == ["phi-3-mini-4k"] and not small.missing


def test_without_the_package_that_is_said() -> None:
    nothing = tuple(replace(one, status=NO_PACKAGE) for one in (int4("phi-3.5-mini"),))
    proposal = offered(HAS, nothing, (replace(bf16("phi-3.5-mini"), status=NO_PACKAGE),))
    assert not proposal.models and "pip install it" in proposal.reason
    assert propose({}, HAS) == Proposal()


def test_the_button_says_size_and_speed_if_it_is_known() -> None:
    proposal = offered(HAS)
    assert button_label(proposal, HAS) == "Get Phi-3-mini and Phi-3.5-mini (2 × 2.8 GB)"
    fast = replace(HAS, bandwidth=36e9)
    assert button_label(proposal, fast) == (
        "Get Phi-3-mini and Phi-3.5-mini (2 × 2.8 GB, about 13 tokens/s here)"
    )
    on_gpu = replace(fast, gpus=(24 * GB,))
    assert button_label(offered(on_gpu), on_gpu) == "Get Phi-3-mini and Phi-3.5-mini (2 × 7.6 GB)"
    here = offered(HAS, (int4("phi-3.5-mini", READY), int4("phi-3-mini-128k", READY)))
    assert button_label(here, HAS) == "Compare Phi-3-mini and Phi-3.5-mini"


@pytest.mark.parametrize(
    ("bandwidth", "words"),
    [
        (400e9, "about 140 tokens/s"),
        (36e9, "about 13 tokens/s"),
        (21e9, "about 7 tokens/s"),
        (5.3e9, "about 1.8 tokens/s"),
        (None, ""),
    ],
)
def test_an_estimate_is_no_finer_than_it_can_be(bandwidth: float | None, words: str) -> None:
    assert speed_of(offered(HAS).models, replace(HAS, bandwidth=bandwidth)) == words


def test_the_question_names_disk_and_memory() -> None:
    what, facts = question(offered(HAS), replace(HAS, bandwidth=36e9))
    assert what == (
        "Download Phi-3-mini (2.8 GB) and Phi-3.5-mini (2.8 GB) from the Hugging Face Hub?"
    )
    assert facts == (
        "74 GB is free on this disk. One writes about 13 tokens/s here, half of that while both do."
    )
    facts = question(offered(HAS), replace(HAS, free_memory=5 * GB))[1]
    assert "Together they need 7.5 GB of memory; 5.0 GB is free now: close other" in facts


def test_the_families_are_prefixes_of_catalog_keys() -> None:
    for family, _ in FAMILIES:
        assert any(key.startswith(family) for key in MODELS)
