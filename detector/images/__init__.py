"""Find and read images and fit them into a network's input."""
