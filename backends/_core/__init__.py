"""What every backend shares: the nouns, the errors, the contract and the catalogue."""
