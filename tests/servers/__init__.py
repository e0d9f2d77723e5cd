"""Real servers, driven through the product's backends: `make test-servers`."""
