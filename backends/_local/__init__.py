"""What backends on this machine share: engines, memory, weights, text."""
