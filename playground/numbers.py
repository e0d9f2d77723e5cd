"""Numbers of answers and settings as people read them, on the page and in exports."""

from collections.abc import Iterator, Sequence

from backends import GenerationParams, Progress, Sentence

from .clock import TokenSource
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
    source = record.token_source
    pieces: list[str] = []
    if record.queued >= 0.1:
        pieces.append(Sentence("waited {time:duration}", time=record.queued))
    if record.first_token is not None:
        pieces.append(Sentence("first token {time:duration}", time=record.first_token))
    if record.thinking_tokens:
        pieces.append(
            Sentence(
                "thought for {time:duration} ({tokens})",
                time=record.thinking_seconds,
                tokens=count_tokens(record.thinking_tokens, source),
            )
        )
    if record.tokens_per_second:
        pieces.append(speed(record.tokens_per_second, source, by_server=record.by_server))
    if answered := record.output_tokens - record.thinking_tokens:
        pieces.append(count_tokens(answered, source))
    if record.total:
        pieces.append(Sentence("{time:duration} in all", time=record.total))
    pieces += [full for _, full in _marks(record)]
    if record.language in LANGUAGES:
        pieces.append(
            Sentence("{language:language}", language=LANGUAGES[record.language].english_name)
        )
    return pieces


def describe_speed(record: AnswerRecord) -> Sequence[str]:
    """The three numbers that matter most, where they are known: first token, speed, length."""
    pieces: list[str] = []
    if record.first_token is not None:
        pieces.append(Sentence("{time:duration} to first token", time=record.first_token))
    if record.tokens_per_second:
        pieces.append(speed(record.tokens_per_second, record.token_source))
    if answered := record.output_tokens - record.thinking_tokens:
        pieces.append(count_tokens(answered, record.token_source))
    return pieces


def count_tokens(tokens: int, source: TokenSource) -> Sentence:
    """A number of tokens: `12 tokens`, `about 12 tokens`."""
    if source == "estimate":
        return Sentence("about {n} tokens", one="about {n} token", n=tokens)
    return Sentence("{n} tokens", one="{n} token", n=tokens)


def speed(per_second: float, source: TokenSource, *, by_server: bool = False) -> Sentence:
    """How fast tokens came: `12.3 tokens/s`, `about 12.3 tokens/s`."""
    number = Sentence("{speed:tenths} tokens/s", speed=per_second)
    if source == "estimate":
        number = Sentence("about {speed:tenths} tokens/s", speed=per_second)
    return Sentence("{number} by the server's clock", number=number) if by_server else number


def describe_marks(record: AnswerRecord) -> Sequence[str]:
    """What one has to know of an answer before its numbers are compared."""
    return [*(mark for mark, _ in _marks(record)), *record.notes]


def _marks(record: AnswerRecord) -> Iterator[tuple[Sentence, Sentence]]:
    """The same: in a few words, and with the numbers that belong to it."""
    names = {
        "stopped": record.state == "stopped",
        "cut off at the token limit": record.finish_reason == "length",
        "continued": bool(record.begun),
        "came at once": record.came_at_once,
    }
    for name in (name for name, holds in names.items() if holds):
        yield Sentence(name), Sentence(name)
    if record.cold:
        code = "cold start, loaded in {time:duration}"
        if record.waited_to_load:
            code = "cold start, waited and loaded for {time:duration}"
        yield Sentence("cold start"), Sentence(code, time=record.load)
    if record.shared_device:
        shared = Sentence("shared device")
        alone = record.tokens_per_second_alone
        code = "shared device, alone about {speed} tokens/s"
        yield shared, Sentence(code, speed=_round(alone)) if alone else shared


def describe_progress(progress: Progress | None) -> Sentence:
    """What an answer waits for: `Loading (1.2 of 2.8 GB) 43 %`."""
    text = Sentence(_STAGES[progress.stage] if progress else "Waiting")
    if progress and progress.detail:
        text = Sentence("{text} ({detail})", text=text, detail=Sentence.of(progress.detail))
    percent = progress_percent(progress)
    return text if percent is None else Sentence("{text} {n} %", text=text, n=percent)


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
        if thought:
            return "It spent all its tokens on thinking: raise “Max tokens”."
        return "It spent all its tokens on nothing that can be read: raise “Max tokens”."
    return "It thought, and then answered nothing." if thought else "It answered nothing."


def other_language(record: AnswerRecord, turn: Turn) -> str:
    """A sentence if an answer left the language that was asked for, or in; else empty."""
    demanded = turn.demanded if record.system is None else record.demanded
    expected = LANGUAGES.get(demanded or turn.language or "")
    answered = LANGUAGES.get(record.language or "")
    if record.adherence != "left" or expected is None or answered is expected:
        return ""
    if answered is None:
        return Sentence("Not answered in {asked:language}", asked=expected.english_name)
    code = "Answered in {answered:language}; you asked in {asked:language}"
    if demanded:
        code = "Answered in {answered:language}; {asked:language} was asked for"
    return Sentence(code, answered=answered.english_name, asked=expected.english_name)


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


def _round(speed: float) -> float:
    """An estimated speed in as many digits as it is good for."""
    return round(speed) if speed >= 10 else round(speed, 1)
