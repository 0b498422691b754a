"""Read frames from video files, image sequences, streams and cameras."""
