"""What is done with answers: comparing, timing, telling languages apart. No Gradio, no HTTP."""
