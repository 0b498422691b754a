"""Train networks: targets, loss, the loop, and its files."""
