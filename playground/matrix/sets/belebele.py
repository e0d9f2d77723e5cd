"""Belebele: questions about a passage, with four answers to choose from."""

import json
from typing import Any

from .declaration import Row, SetOfOthers

_FILES = {
    "ar": "arb_Arab", "zh": "zho_Hans", "cs": "ces_Latn", "da": "dan_Latn", "nl": "nld_Latn",
    "en": "eng_Latn", "fi": "fin_Latn", "fr": "fra_Latn", "de": "deu_Latn", "he": "heb_Hebr",
    "hu": "hun_Latn", "it": "ita_Latn", "ja": "jpn_Jpan", "ko": "kor_Hang", "no": "nob_Latn",
    "pl": "pol_Latn", "pt": "por_Latn", "ru": "rus_Cyrl", "es": "spa_Latn", "sv": "swe_Latn",
    "th": "tha_Thai", "tr": "tur_Latn", "uk": "ukr_Cyrl", "ro": "ron_Latn", "sr": "srp_Cyrl",
    "sk": "slk_Latn",
}  # fmt: skip


def _read(text: str, language: str) -> list[Row]:
    return [_row(json.loads(line)) for line in text.splitlines() if line.strip()]


def _row(fields: dict[str, Any]) -> Row:
    """A question. It is asked in its language, and in English for a letter, as its authors do."""
    choices = "\n".join(
        f"{letter}. {fields[f'mc_answer{number}']}" for number, letter in enumerate("ABCD", 1)
    )
    prompt = (
        f"{fields['flores_passage']}\n\n{fields['question']}\n\n{choices}\n\n"
        "Answer with the letter of the right choice alone: A, B, C or D."
    )
    right = "ABCD"[int(fields["correct_answer_num"]) - 1]
    return Row(prompt, right, (str(fields["link"]), int(fields["question_number"])))


BELEBELE = SetOfOthers(
    name="belebele",
    title="Belebele, 900 questions about passages in each language",
    repository="facebook/belebele",
    revision="75b399394a9803252cfec289d103de462763db7c",
    licence="CC BY-SA 4.0",
    licence_url="https://creativecommons.org/licenses/by-sa/4.0/",
    citation=(
        "Bandarkar et al., The Belebele Benchmark: a Parallel Reading Comprehension Dataset in 122 "
        "Language Variants, ACL 2024, arXiv:2308.16884."
    ),
    size="1 MB",
    kind="choice",
    max_tokens=200,
    files={code: f"data/{name}.jsonl" for code, name in _FILES.items()},
    read=_read,
)
