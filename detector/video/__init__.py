"""Read video frames, describe their time and colours, and write them."""
