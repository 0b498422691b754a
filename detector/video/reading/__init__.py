"""What frames come from: video files, image sequences, streams, cameras."""
