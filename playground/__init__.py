"""Comparison of models: timing, records, languages, limits. No Gradio, no HTTP, no engine."""
