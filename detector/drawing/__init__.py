"""Drawing on pictures: boxes, labels, fonts."""
