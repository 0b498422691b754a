"""A picture in, boxes out; frames in, files out."""
