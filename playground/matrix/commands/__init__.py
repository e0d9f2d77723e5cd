"""The commands of `python -m playground.matrix`: a file each, with its arguments and its work."""
