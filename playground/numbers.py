"""Numbers of answers and settings as people read them, on the page and in exports."""

from collections.abc import Iterator, Sequence

from backends import GenerationParams, Progress

from .conversation import AnswerRecord, Turn
from .languages import LANGUAGES

_STAGES = {
    "queued": "Waiting",
    "loading": "Loading",
    "prefill": "Reading your prompt",
    "retrying": "Busy",
    "downloading": "Downloading",
}


def describe_params(params: GenerationParams) -> str:
    """The parameters that were set, in one line."""
    settings = {
        "temperature": params.temperature,
        "max tokens": params.max_tokens,
        "top-p": params.top_p,
        "top-k": params.top_k,
        "seed": params.seed,
        "stop": ", ".join(map(repr, params.stop)) or None,
        "crops": params.num_crops,
    }
    return " · ".join(f"{name} {value}" for name, value in settings.items() if value is not None)


def describe_numbers(record: AnswerRecord) -> Sequence[str]:
    """The numbers of an answer in short pieces, each with its unit; estimates are called so."""
    about = "about " if record.token_source == "estimate" else ""
    pieces: list[str] = []
    if record.queued >= 0.1:
        pieces.append(f"waited {format_duration(record.queued)}")
    if record.first_token is not None:
        pieces.append(f"first token {format_duration(record.first_token)}")
    if record.thinking_tokens:
        pieces.append(
            f"thought for {format_duration(record.thinking_seconds)} "
            f"({about}{format_count(record.thinking_tokens, 'token')})"
        )
    if record.tokens_per_second:
        whose = " by the server's clock" if record.by_server else ""
        pieces.append(f"{about}{record.tokens_per_second:.1f} tokens/s{whose}")
    if answered := record.output_tokens - record.thinking_tokens:
        pieces.append(about + format_count(answered, "token"))
    if record.total:
        pieces.append(f"{format_duration(record.total)} in all")
    pieces += [mark + numbers for mark, numbers in _marks(record)]
    if record.language in LANGUAGES:
        pieces.append(LANGUAGES[record.language].english_name)
    return pieces


def describe_speed(record: AnswerRecord) -> Sequence[str]:
    """The three numbers that matter most, where they are known: first token, speed, length."""
    about = "about " if record.token_source == "estimate" else ""
    pieces: list[str] = []
    if record.first_token is not None:
        pieces.append(f"{format_duration(record.first_token)} to first token")
    if record.tokens_per_second:
        pieces.append(f"{about}{record.tokens_per_second:.1f} tokens/s")
    if answered := record.output_tokens - record.thinking_tokens:
        pieces.append(about + format_count(answered, "token"))
    return pieces


def describe_marks(record: AnswerRecord) -> Sequence[str]:
    """What one has to know of an answer before its numbers are compared."""
    return [*(mark for mark, _ in _marks(record)), *record.notes]


def _marks(record: AnswerRecord) -> Iterator[tuple[str, str]]:
    """The same, each with the numbers that belong to it."""
    if record.state == "stopped":
        yield "stopped", ""
    if record.finish_reason == "length":
        yield "cut off at the token limit", ""
    if record.begun:
        yield "continued", ""
    if record.came_at_once:
        yield "came at once", ""
    if record.cold:
        how = "waited and loaded for" if record.waited_to_load else "loaded in"
        yield "cold start", f", {how} {format_duration(record.load)}"
    if record.shared_device:
        alone = record.tokens_per_second_alone
        yield "shared device", f", alone about {_round(alone)} tokens/s" if alone else ""


def describe_progress(progress: Progress | None) -> str:
    """What an answer waits for: `Loading (1.2 of 2.8 GB) 43 %`."""
    text = _STAGES[progress.stage] if progress else "Waiting"
    if progress and progress.detail:
        text += f" ({progress.detail})"
    percent = progress_percent(progress)
    return text if percent is None else f"{text} {percent} %"


def progress_percent(progress: Progress | None) -> int | None:
    """How much is done, from 0 to 100; `None` where nobody knows."""
    if progress is None or progress.fraction is None:
        return None
    return round(min(1.0, max(0.0, progress.fraction)) * 100)


def describe_empty(record: AnswerRecord) -> str:
    """Why an answer has no text, as a sentence."""
    thought = bool(record.thinking)
    if record.state == "stopped":
        return "Stopped while it was thinking." if thought else "Stopped before the first token."
    if record.finish_reason == "length":
        what = "thinking" if thought else "nothing that can be read"
        return f"It spent all its tokens on {what}: raise “Max tokens”."
    return "It thought, and then answered nothing." if thought else "It answered nothing."


def other_language(record: AnswerRecord, turn: Turn) -> str:
    """A sentence if an answer left the language that was asked for, or in; else empty."""
    demanded = turn.demanded if record.system is None else record.demanded
    expected = LANGUAGES.get(demanded or turn.language or "")
    answered = LANGUAGES.get(record.language or "")
    if record.adherence != "left" or expected is None or answered is expected:
        return ""
    if answered is None:
        return f"Not answered in {expected.english_name}"
    asked = f"{expected.english_name} was asked for"
    return f"Answered in {answered.english_name}; " + (
        asked if demanded else f"you asked in {expected.english_name}"
    )


def format_duration(duration: float) -> str:
    """A duration in seconds as people write it: `85 ms`, `1.24 s`, `2 min 5 s`."""
    if duration < 1:
        return f"{duration * 1000:.0f} ms"
    if duration < 60:
        return f"{duration:.2f} s"
    return f"{int(duration // 60)} min {int(duration % 60)} s"


def format_bytes(count: float) -> str:
    """A number of bytes as people write it: `54 MB`, `7.6 GB`, `74 GB`."""
    if count < 1e9:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.0f} GB" if count >= 2e10 else f"{count / 1e9:.1f} GB"


def format_count(number: int, noun: str) -> str:
    """A number with its noun: `1 token`, `2,000 tokens`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _round(speed: float) -> str:
    """An estimated speed in as many digits as it is good for."""
    return f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}"
