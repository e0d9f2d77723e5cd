"""The theme: style sheets, scripts, colours and fonts."""

from pathlib import Path

from gradio.themes import Base, colors, sizes

UI = Path(__file__).parent
ASSETS = UI / "assets"
SHEETS = (
    "assets/colors",
    "assets/page",
    "assets/language",
    "markdown/answer",
    "compare/transcript/transcript",
    "compare/view",
    "tabs/vision/tray",
    "tabs/moe/figure",
    "tabs/moe/explained",
    "tabs/languages/matrix",
    "tabs/languages/choices",
    "tabs/models/cards",
)
"""The style sheets in their order: later rules win."""
SCRIPTS = (
    "assets/base",
    "assets/say",
    "assets/language",
    "assets/guards",
    "assets/away",
    "compare/view",
    "compare/pickers",
    "compare/prompt",
    "tabs/vision/tray",
    "tabs/languages/choices",
    "tabs/models/cards",
    "assets/address",  # last, since it starts the others
)
"""The parts of the page's script, in the order in which they run."""

FONTS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Noto Sans",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Thai",
    "Noto Sans CJK SC",
    "sans-serif",
)
MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Noto Sans Mono", "monospace")

PAPER, RAISED, HAIRLINE = "var(--paper)", "var(--raised)", "var(--hairline)"
INK, MUTED, ACTION = "var(--ink)", "var(--muted)", "var(--ink)"
"""CSS variables; their values, light and dark, are in `assets/colors.css` alone."""


def theme() -> Base:
    """Return Gradio's plainest theme with the page's colours; all text has AA contrast."""
    look = {
        "body_background_fill": PAPER,
        "body_text_color": INK,
        "body_text_color_subdued": MUTED,
        "background_fill_primary": PAPER,
        "background_fill_secondary": RAISED,
        "block_background_fill": "transparent",
        "block_border_width": "0px",
        "block_shadow": "none",
        "block_title_text_color": MUTED,
        "block_info_text_color": MUTED,
        "border_color_primary": HAIRLINE,
        "input_background_fill": RAISED,
        "input_border_color": HAIRLINE,
        "input_border_color_focus": MUTED,
        "input_border_width": "1px",
        "input_placeholder_color": MUTED,
        "input_shadow": "none",
        "button_primary_background_fill": ACTION,
        "button_primary_background_fill_hover": "var(--pressed)",
        "button_primary_text_color": "var(--on-action)",
        "button_primary_text_color_hover": "var(--on-action)",
        "button_primary_border_color": ACTION,
        "button_primary_border_color_hover": ACTION,
        "checkbox_background_color_selected": "var(--checked)",
        "checkbox_border_color_selected": "var(--checked)",
        "checkbox_border_color_focus": MUTED,
        "button_secondary_background_fill": "transparent",
        "button_secondary_background_fill_hover": HAIRLINE,
        "button_secondary_text_color": INK,
        "button_secondary_border_color": HAIRLINE,
        "button_border_width": "1px",
        "panel_background_fill": "transparent",
        "slider_color": INK,
        "link_text_color": "var(--a)",
        "code_background_fill": "var(--code)",
    }
    return Base(
        primary_hue=colors.indigo,
        secondary_hue=colors.teal,
        neutral_hue=colors.stone,
        font=FONTS,
        font_mono=MONO_FONTS,
        radius_size=sizes.radius_md,
        text_size=sizes.text_md,
    ).set(
        **look,
        # The variables change with the page, so dark is the same.
        **{f"{name}_dark": value for name, value in look.items()},
        block_padding="0",
        block_title_text_weight="500",
        block_title_text_size="*text_sm",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
    )


def css() -> str:
    """Return the page's style sheets, one after the other."""
    return "\n".join((UI / f"{name}.css").read_text("utf-8") for name in SHEETS)


def js() -> str:
    """Return the page's script: one function, run once when the page has loaded."""
    parts = ((UI / f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    return "() => {\n" + "\n".join(parts) + "}"
