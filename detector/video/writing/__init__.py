"""Write frames to video files with their audio and subtitles, and to windows."""
