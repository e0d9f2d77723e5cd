"""The look: paper and ink, one colour a side, system fonts."""

from pathlib import Path

from gradio.themes import Base, colors, sizes

UI = Path(__file__).parent
ASSETS = UI / "assets"
SHEETS = ("assets/page", "tabs/moe/figure", "tabs/moe/explained")

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

PAPER, PAPER_DARK = "#fbfaf8", "#131417"
RAISED, RAISED_DARK = "#ffffff", "#1b1d21"
INK, INK_DARK = "#1c1b19", "#ecebe8"
MUTED, MUTED_DARK = "#5f5c57", "#a5a29c"
HAIRLINE, HAIRLINE_DARK = "#e4e1db", "#2f3238"
ACTION, ACTION_DARK = "#1c1b19", "#ecebe8"


def theme() -> Base:
    """Gradio's plainest theme in our own colours. Text is AA on every ground it stands on."""
    return Base(
        primary_hue=colors.indigo,
        secondary_hue=colors.teal,
        neutral_hue=colors.stone,
        font=FONTS,
        font_mono=MONO_FONTS,
        radius_size=sizes.radius_md,
        text_size=sizes.text_md,
    ).set(
        body_background_fill=PAPER,
        body_background_fill_dark=PAPER_DARK,
        body_text_color=INK,
        body_text_color_dark=INK_DARK,
        body_text_color_subdued=MUTED,
        body_text_color_subdued_dark=MUTED_DARK,
        background_fill_primary=PAPER,
        background_fill_primary_dark=PAPER_DARK,
        background_fill_secondary=RAISED,
        background_fill_secondary_dark=RAISED_DARK,
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_shadow="none",
        block_shadow_dark="none",
        block_padding="0",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_color=MUTED,
        block_title_text_color_dark=MUTED_DARK,
        block_title_text_weight="500",
        block_title_text_size="*text_sm",
        block_info_text_color=MUTED,
        block_info_text_color_dark=MUTED_DARK,
        border_color_primary=HAIRLINE,
        border_color_primary_dark=HAIRLINE_DARK,
        input_background_fill=RAISED,
        input_background_fill_dark=RAISED_DARK,
        input_border_color=HAIRLINE,
        input_border_color_dark=HAIRLINE_DARK,
        input_border_color_focus=MUTED,
        input_border_color_focus_dark=MUTED_DARK,
        input_border_width="1px",
        input_border_width_dark="1px",
        input_placeholder_color=MUTED,
        input_placeholder_color_dark=MUTED_DARK,
        input_shadow="none",
        input_shadow_dark="none",
        button_primary_background_fill=ACTION,
        button_primary_background_fill_dark=ACTION_DARK,
        button_primary_background_fill_hover="#3a3835",
        button_primary_background_fill_hover_dark="#ffffff",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#131417",
        button_primary_text_color_hover_dark="#131417",
        button_primary_border_color=ACTION,
        button_primary_border_color_dark=ACTION_DARK,
        button_primary_border_color_hover=ACTION,
        button_primary_border_color_hover_dark=ACTION_DARK,
        checkbox_background_color_selected=ACTION,
        checkbox_background_color_selected_dark=MUTED_DARK,
        checkbox_border_color_selected=ACTION,
        checkbox_border_color_selected_dark=MUTED_DARK,
        checkbox_border_color_focus=MUTED,
        checkbox_border_color_focus_dark=MUTED_DARK,
        button_secondary_background_fill="transparent",
        button_secondary_background_fill_dark="transparent",
        button_secondary_background_fill_hover=HAIRLINE,
        button_secondary_background_fill_hover_dark=HAIRLINE_DARK,
        button_secondary_text_color=INK,
        button_secondary_text_color_dark=INK_DARK,
        button_secondary_border_color=HAIRLINE,
        button_secondary_border_color_dark=HAIRLINE_DARK,
        button_border_width="1px",
        button_border_width_dark="1px",
        panel_background_fill="transparent",
        panel_background_fill_dark="transparent",
        slider_color=INK,
        slider_color_dark=INK_DARK,
        link_text_color="#4338ca",
        link_text_color_dark="#a5b4fc",
        code_background_fill="#f3f1ed",
        code_background_fill_dark="#22252a",
    )


def css() -> str:
    """The page's style sheets, one after the other."""
    return "\n".join((UI / f"{name}.css").read_text("utf-8") for name in SHEETS)


def js() -> str:
    """The page's script: one function, run once when the page has loaded."""
    return (ASSETS / "page.js").read_text("utf-8")
