"""What trains the Pocket models: run by hand, imported by no backend."""
