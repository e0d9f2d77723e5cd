"""The commands of `python app.py`, a file each, and what they share with those of the matrix."""
