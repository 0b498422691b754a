"""Raw heads to boxes: one function per kind of head, and non-max suppression."""
