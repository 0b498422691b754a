"""Many videos and pictures: shards, manifests, segments."""
