"""Programs that make the requests of the page."""
