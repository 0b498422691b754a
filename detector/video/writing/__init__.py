"""What frames go to: video files with their audio and subtitles, windows."""
