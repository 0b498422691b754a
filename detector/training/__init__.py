"""Training of networks: targets, loss, the loop, and its files."""
