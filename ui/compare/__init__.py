"""The comparison view that the tabs share."""
