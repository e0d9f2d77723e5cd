"""The 23 languages of Phi-3.5 and three more: names, script, direction, letters."""

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
    letters: str = ""
    """The lower-case letters of its alphabet besides a to z; for Cyrillic, the whole alphabet."""


LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language("ar", "Arabic", "العربية", "Arabic", "rtl"),
        Language("zh", "Chinese", "中文", "Han"),
        Language("cs", "Czech", "Čeština", "Latin", letters="áčďéěíňóřšťúůýž"),
        Language("da", "Danish", "Dansk", "Latin", letters="æøåé"),
        Language("nl", "Dutch", "Nederlands", "Latin", letters="éëïóöüèêáí"),
        Language("en", "English", "English", "Latin", letters="éï"),
        Language("fi", "Finnish", "Suomi", "Latin", letters="äöåšž"),
        Language("fr", "French", "Français", "Latin", letters="àâæçéèêëîïôœùûüÿ"),
        Language("de", "German", "Deutsch", "Latin", letters="äöüß"),
        Language("he", "Hebrew", "עברית", "Hebrew", "rtl"),
        Language("hu", "Hungarian", "Magyar", "Latin", letters="áéíóöőúüű"),
        Language("it", "Italian", "Italiano", "Latin", letters="àèéìíîòóùú"),
        Language("ja", "Japanese", "日本語", "Japanese"),
        Language("ko", "Korean", "한국어", "Hangul"),
        Language("no", "Norwegian", "Norsk", "Latin", letters="æøåéèêòóô"),
        Language("pl", "Polish", "Polski", "Latin", letters="ąćęłńóśźż"),
        Language("pt", "Portuguese", "Português", "Latin", letters="áâãàçéêíóôõúü"),
        Language("ru", "Russian", "Русский", "Cyrillic", letters="абвгдеёжзийклмнопрстуфхцчшщъыьэюя"),
        Language("es", "Spanish", "Español", "Latin", letters="áéíñóúü"),
        Language("sv", "Swedish", "Svenska", "Latin", letters="åäöé"),
        Language("th", "Thai", "ไทย", "Thai"),
        Language("tr", "Turkish", "Türkçe", "Latin", letters="çğıöşüâîûi̇"),
        Language("uk", "Ukrainian", "Українська", "Cyrillic", letters="абвгґдеєжзиіїйклмнопрстуфхцчшщьюя"),
        Language("ro", "Romanian", "Română", "Latin", among_23=False, letters="ăâîșțşţ"),
        Language("sr", "Serbian", "Српски", "Cyrillic", among_23=False, letters="абвгдђежзијклљмнњопрстћуфхцчџшčćđšž"),
        Language("sk", "Slovak", "Slovenčina", "Latin", among_23=False, letters="áäčďéíĺľňóôŕšťúýž"),
    )
}
"""Languages by code: the 23 in the model card's order, then three that our readers write."""
