"""Which numbers a network computes with: floats, bfloat16 or 8-bit integers."""
