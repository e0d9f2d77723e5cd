"""The page's fixed words, by key, in English; translations are one more dictionary each."""

import gradio as gr

EN = {
    "title": "Phi Playground",
    "tagline": "Microsoft's small language models, side by side",
    "tab_text": "Text",
    "tab_models": "Models",
    "board_title": "Who can answer",
    "board_intro": "Every place where a Phi model can run, and how it is right now. "
    "Keys and addresses are kept in memory for this visit only, and never written anywhere.",
    "check_all": "Check all",
    "check": "Check",
    "forget": "Forget",
    "address": "Address",
    "key": "Key",
    "key_held": "Kept for this visit",
    "models_title": "The models",
    "models_intro": "What is known about each, from its makers' own pages.",
    "backend": "Runs on",
    "model": "Model",
    "left": "Left",
    "right": "Right",
    "prompt": "Prompt",
    "prompt_placeholder": "Ask both models something…",
    "compare": "Compare",
    "stop": "Stop",
    "stop_one": "Stop",
    "regenerate": "Regenerate both",
    "regenerate_one": "Regenerate",
    "show_code": "Code",
    "hide_code": "Hide code",
    "program_left": "Code of the left side",
    "program_right": "Code of the right side",
    "undo": "Undo",
    "clear": "Clear",
    "copy_markdown": "Copy as Markdown",
    "copy_json": "Copy as JSON",
    "copy_link": "Copy link",
    "settings": "Settings",
    "system": "System prompt",
    "system_placeholder": "Optional: who the model should be, which language to answer in…",
    "temperature": "Temperature",
    "temperature_info": "0 always takes the likeliest word",
    "max_tokens": "Max tokens",
    "max_tokens_info": "The longest an answer may get",
    "top_p": "Top-p",
    "top_p_info": "Only words that make up this share",
    "top_k": "Top-k",
    "top_k_info": "Only this many words; 0 for all",
    "seed": "Seed",
    "seed_info": "The same seed, the same answer",
    "seed_placeholder": "A new one each time",
    "stop_texts": "Stop at",
    "stop_texts_info": "Up to four texts, one per line",
    "examples": "Examples",
    "examples_language": "Language of the examples",
    "answer_left": "Left answer",
    "answer_right": "Right answer",
    "conversation_left": "Left conversation",
    "conversation_right": "Right conversation",
    "conversation_placeholder": "The answer will appear here.",
    "download": "Download",
    "download_confirm": "Yes, download",
    "cancel": "Cancel",
}

I18N = gr.I18n(en=EN)


def t(key: str) -> str:
    """A fixed text as a component takes it: the page puts in the reader's language."""
    return I18N(key)  # type: ignore[return-value]  # Gradio turns it into text in the page
