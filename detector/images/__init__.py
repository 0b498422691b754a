"""Pictures: found, read, fitted into a network's input."""
