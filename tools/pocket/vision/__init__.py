"""Pocket-Vision: draws its own lesson and learns to see it. Imported by no backend."""
