"""MGSM: word problems of primary school, translated by people."""

from ..texts import texts
from .declaration import Row, SetOfOthers


def _read(text: str, language: str) -> list[Row]:
    """The rows of a file: problem and answer, with a tab between them."""
    found: list[Row] = []
    for number, line in enumerate(filter(str.strip, text.splitlines())):
        problem, tab, answer = line.rpartition("\t")
        if not tab:
            raise ValueError(f"line {number + 1} has no tab")
        found.append(math_row(problem, answer, number, language))
    return found


def math_row(problem: str, answer: str | int, number: int, language: str) -> Row:
    """A problem with our own request for a number behind it, in its language."""
    ask = texts(language).sum_one
    prompt = f"{problem.strip()}\n\n{ask.ask}" if ask else problem.strip()
    return Row(prompt, int(str(answer).strip().replace(",", "")), ("", number))


MGSM = SetOfOthers(
    name="mgsm",
    title="MGSM, 250 word problems in each language",
    repository="juletxara/mgsm",
    revision="f52417ca77bd71e9888ddc29f92587660725d2b4",
    # The authors' own repository says so; the card of this copy on the Hub says CC BY-SA 4.0.
    licence="CC BY 4.0",
    licence_url="https://github.com/google-research/url-nlp/blob/main/mgsm/LICENSE",
    citation=(
        "Shi et al., Language Models are Multilingual Chain-of-Thought Reasoners, ICLR 2023, "
        "arXiv:2210.03057."
    ),
    size="0.1 MB",
    kind="math",
    max_tokens=500,
    files={code: f"mgsm_{code}.tsv" for code in ("en", "es", "fr", "de", "ru", "zh", "ja", "th")},
    read=_read,
)
