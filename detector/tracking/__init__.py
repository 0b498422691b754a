"""What happens between frames: optical flow, frame skipping."""
