"""Pictures and video frames: read safely, made small, cut as models cut them."""
