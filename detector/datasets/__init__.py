"""Read and write labelled images in common dataset formats."""
