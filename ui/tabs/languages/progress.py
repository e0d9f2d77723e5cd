"""How far a run is, and how it ended, in sentences."""

from typing import Any

from playground.limits import Limits
from playground.matrix.live import LiveRun
from playground.matrix.plan import duration, rounded
from playground.matrix.summary import language_name


def status_words(live: LiveRun) -> str:
    """How far a run is: `12 of 52 answers · about 3 min and 1,900 tokens to go · Thai`."""
    step = live.step
    if step is None:
        return "Loading the models…"
    pieces = [f"{step.done:,} of {step.total:,} answers"]
    left = step.left
    if left.answers:
        tokens = f"{rounded(left.tokens):,} tokens"
        if step.seconds_left is None:
            pieces.append(f"about {tokens} to go")
        else:
            pieces.append(f"about {duration(step.seconds_left)} and {tokens} to go")
    if step.cell:
        pieces.append(f"last: {language_name(step.cell.place[1])}")
    return " · ".join(pieces)


def ended_words(live: LiveRun, limits: Limits) -> dict[str, Any]:
    """How a run ended: `said` is a failure, `ended` is not."""
    done = sum(cell.error is None for cell in live.cells.values())
    total = live.step.total if live.step else 0
    came = f"{done:,} of {total:,} answers came, and stay." if total else ""
    go_on = ""
    if not limits.public and live.state != "done" and total and live.path:
        go_on = (
            f" It goes on from the command line: python -m playground.matrix continue "
            f"runs/{live.path.name}"
        )
    if live.state == "failed":
        return {"said": f"{live.sentence} {came}{go_on}".strip(), "ended": ""}
    if live.state == "stopped":
        return {"said": "", "ended": f"Stopped. {came}{go_on}"}
    return {"said": live.sentence, "ended": ""}
