"""What is on the page. Gradio lives here and nowhere else."""
