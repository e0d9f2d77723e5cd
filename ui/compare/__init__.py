"""The comparison that the tabs share."""
