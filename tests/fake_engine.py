"""An engine without a model, for workers: it says a text that it was told, and fails when told."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from backends import MissingDependencyError
from backends._local.chat_text import ChatText
from backends._local.decode import encode
from backends._local.seam import Output, Plan, Prompt, Served, Serving
from backends._local.sessions import SessionCache

POCKET = Path(__file__).parents[1] / "backends" / "pocket" / "models" / "pocket-3.5"


class FakeSession:
    """Each feed is written down, a line each: how many tokens."""

    def __init__(self, model: "FakeModel") -> None:
        self.model, self.length, self.said = model, 0, 0

    def feed(self, tokens: Any, in_prompt: bool = True) -> Output:
        options = self.model.options
        with Path(options["feeds"]).open("a") as file:
            file.write(f"{len(tokens)}\n")
        self.length += len(tokens)
        self.said = 0 if in_prompt else self.said + 1
        if self.said == options.get("crash_at"):
            os.kill(os.getpid(), getattr(signal, options["signal"]))
        if self.said == options.get("hang_at"):
            time.sleep(3600)
        if self.said == options.get("fail_at"):
            raise RuntimeError("the engine broke")
        time.sleep(options.get("pause", 0))
        logits = np.zeros(self.model.text.tokenizer.get_vocab_size(), np.float32)
        said = self.model.said
        logits[said[self.said] if self.said < len(said) else min(self.model.text.ends)] = 9
        return Output(logits)

    def rewind(self, length: int) -> bool:
        self.length = length
        return True

    def close(self) -> None:
        pass


class FakeModel:
    """Says `options["text"]`, whatever it is asked."""

    device, threads, context, exact, warnings = "cpu", 1, 4096, True, ()

    def __init__(self, label: str, options: dict[str, Any]) -> None:
        self.label, self.options = label, options
        self.text = ChatText(POCKET)
        self.said = self.text.tokenizer.encode(options["text"], add_special_tokens=False).ids
        self.sessions = SessionCache(lambda room, long: FakeSession(self), 1.0, 8192)
        self.memory = np.ones(options.get("bytes", 0), np.uint8)

    def read(self, messages, params, held):
        yield from ()
        tokens = encode(self, messages)
        return Prompt(tokens, self.context, tokens)

    def close(self) -> None:
        self.memory = None


def plan(label: str, **options: Any) -> Plan:
    """How the worker loads it."""
    if options.get("missing"):
        raise MissingDependencyError("There is no such model.", "Choose another one.")
    if library := options.get("library"):
        raise ImportError(f"{library}: cannot open shared object file", name=library)
    print("a library that prints to standard output")

    def load(report) -> FakeModel | Serving:
        if options.get("load_hangs"):
            time.sleep(3600)
        if options.get("load_crashes"):
            os.kill(os.getpid(), getattr(signal, options["load_crashes"]))
        report(0.5)
        go_on = options.get("load_until")
        while go_on and not Path(go_on).exists():
            time.sleep(0.001)
            report(0.5)
        if "serves" in options:
            served = Served("http://127.0.0.1:1/v1", "a key", "cpu", ("<|end|>",))
            return Serving(served, options["serves"], object())
        return FakeModel(label, options)

    free = Path(options["free"]) if "free" in options else None
    return Plan(
        device="cpu",
        need=options.get("need", 0),
        per_answer=options.get("per_answer", 0),
        free=(lambda: int(free.read_text())) if free else (lambda: 1),
        load=load,
    )
