"""The 23 languages of Phi-3.5 and three more: names, script, direction, alphabet."""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["ltr", "rtl"]
Script = Literal[
    "Arabic", "Cyrillic", "Han", "Hangul", "Hebrew", "Japanese", "Kana", "Latin", "Other", "Thai"
]
"""Unicode's names; `Japanese` is Han and Kana together, `Other` every script not listed."""


@dataclass(frozen=True, slots=True)
class Language:
    """One language as the page names and shows it."""

    code: str
    """ISO 639-1: `no` for Norwegian, whether Bokmål or Nynorsk."""
    english_name: str
    own_name: str
    script: Script
    """The one it is written in here; `detect` knows Serbian in Latin letters too."""
    direction: Direction = "ltr"
    among_23: bool = True
    """True if Microsoft names it for Phi-3.5 (model card of Phi-3.5-mini-instruct)."""


LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language("ar", "Arabic", "العربية", "Arabic", "rtl"),
        Language("zh", "Chinese", "中文", "Han"),
        Language("cs", "Czech", "Čeština", "Latin"),
        Language("da", "Danish", "Dansk", "Latin"),
        Language("nl", "Dutch", "Nederlands", "Latin"),
        Language("en", "English", "English", "Latin"),
        Language("fi", "Finnish", "Suomi", "Latin"),
        Language("fr", "French", "Français", "Latin"),
        Language("de", "German", "Deutsch", "Latin"),
        Language("he", "Hebrew", "עברית", "Hebrew", "rtl"),
        Language("hu", "Hungarian", "Magyar", "Latin"),
        Language("it", "Italian", "Italiano", "Latin"),
        Language("ja", "Japanese", "日本語", "Japanese"),
        Language("ko", "Korean", "한국어", "Hangul"),
        Language("no", "Norwegian", "Norsk", "Latin"),
        Language("pl", "Polish", "Polski", "Latin"),
        Language("pt", "Portuguese", "Português", "Latin"),
        Language("ru", "Russian", "Русский", "Cyrillic"),
        Language("es", "Spanish", "Español", "Latin"),
        Language("sv", "Swedish", "Svenska", "Latin"),
        Language("th", "Thai", "ไทย", "Thai"),
        Language("tr", "Turkish", "Türkçe", "Latin"),
        Language("uk", "Ukrainian", "Українська", "Cyrillic"),
        Language("ro", "Romanian", "Română", "Latin", among_23=False),
        Language("sr", "Serbian", "Српски", "Cyrillic", among_23=False),
        Language("sk", "Slovak", "Slovenčina", "Latin", among_23=False),
    )
}
"""Languages by code: the 23 in the model card's order, then three that our readers write."""

ALPHABETS: dict[str, str] = {
    "cs": "áčďéěíňóřšťúůýž",
    "da": "æøåé",
    "nl": "éëïóöüèêáí",
    "en": "éï",
    "fi": "äöåšž",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "de": "äöüß",
    "hu": "áéíóöőúüű",
    "it": "àèéìíîòóùú",
    "no": "æøåéèêòóô",
    "pl": "ąćęłńóśźż",
    "pt": "áâãàçéêíóôõúü",
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "es": "áéíñóúü",
    "sv": "åäöé",
    "tr": "çğıöşüâîûi̇",
    "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
    "ro": "ăâîșțşţ",
    "sr": "абвгдђежзијклљмнњопрстћуфхцчџшčćđšž",
    "sk": "áäčďéíĺľňóôŕšťúýž",
}
"""The letters of each language that shares its script with others: in Latin those besides a to z,
in Cyrillic all; Serbian is written in both."""
