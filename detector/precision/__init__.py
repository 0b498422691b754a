"""Choose the number format in which a network computes: floats, bfloat16 or 8-bit integers."""
