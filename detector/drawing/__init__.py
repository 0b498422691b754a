"""Draw boxes, labels and heat maps on images."""
