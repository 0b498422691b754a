"""The command yolo3."""
