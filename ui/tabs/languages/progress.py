"""How far a run is, and how it ended, in sentences."""

from typing import Any

from backends import Sentence
from playground.limits import Limits
from playground.matrix.live import LiveRun
from playground.matrix.plan import duration, rounded
from playground.matrix.summary import language_words

LOADING = Sentence("Loading the models…")


def status_words(live: LiveRun) -> Sentence:
    """How far a run is: `12 of 52 answers · about 3 min and 1,900 tokens to go · Thai`."""
    step = live.step
    if step is None:
        return LOADING
    pieces = [Sentence("{done} of {all} answers", done=step.done, all=step.total)]
    left = step.left
    if left.answers:
        tokens = rounded(left.tokens)
        if step.seconds_left is None:
            pieces.append(Sentence("about {tokens} tokens to go", tokens=tokens))
        else:
            time = duration(step.seconds_left)
            code = "about {time} and {tokens} tokens to go"
            pieces.append(Sentence(code, time=time, tokens=tokens))
    if step.cell:
        last = language_words(step.cell.place[1])
        pieces.append(Sentence("last: {language}", language=last))
    return Sentence.chain(*pieces, between=" · ")


def ended_words(live: LiveRun, limits: Limits) -> dict[str, Any]:
    """How a run ended: `said` is a failure, `ended` is not."""
    done = sum(cell.error is None for cell in live.cells.values())
    total = live.step.total if live.step else 0
    came = go_on = ""
    if total:
        came = Sentence("{done} of {all} answers came, and stay.", done=done, all=total)
    if not limits.public and live.state != "done" and total and live.path:
        command = f"python -m playground.matrix continue runs/{live.path.name}"
        go_on = Sentence("It goes on from the command line: {command}", command=command)
    if live.state == "failed":
        return {"said": Sentence.chain(live.sentence, came, go_on), "ended": ""}
    if live.state == "stopped":
        return {"said": "", "ended": Sentence.chain("Stopped.", came, go_on)}
    return {"said": Sentence.of(live.sentence) if live.sentence else "", "ended": ""}
