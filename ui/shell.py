"""What a visitor can read while the page's scripts are on their way."""

from collections.abc import Mapping
from functools import cache
from html import escape

from babel import negotiate_locale

from playground.languages import LANGUAGES

from .texts import EN, TRANSLATIONS
from .theme import ASSETS

# As the page's script does later: `dark` where it was chosen, else as the system has it.
_THEME = """<script>
  let theme = "";
  try { theme = localStorage.getItem("phi-theme"); } catch { /* storage is off */ }
  if (theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches)
    document.body.classList.add("dark");
</script>"""


def preferred_language(accepted: str) -> str:
    """Return the page's language that an `Accept-Language` header prefers: a code, `en` if none."""
    ranges = (one.partition(";")[0].strip() for one in accepted[:1000].split(","))
    wanted = [one.partition("-")[0].lower() for one in ranges if one]
    return negotiate_locale(wanted, ["en", *TRANSLATIONS]) or "en"


@cache
def shell_html(language: str) -> str:
    """Return the elements that stand in the body until the page is there."""
    texts: Mapping[str, str] = {}
    if language in TRANSLATIONS:
        texts = TRANSLATIONS[language].fresh(EN)
    hint = texts.get("transcript_hint")
    told = language if hint else "en"
    style = "".join((ASSETS / f"{name}.css").read_text("utf-8") for name in ("colors", "shell"))
    return f"""{_THEME}<style>{style}</style>
<div id="shell"><div>
  <h1><span aria-hidden="true">φ</span> {escape(EN["title"])}</h1>
  <p lang="{told}" dir="{LANGUAGES[told].direction}">{escape(hint or EN["transcript_hint"])}</p>
</div></div>"""
