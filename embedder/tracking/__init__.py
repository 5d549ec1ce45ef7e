"""From frames to tracks of moving objects."""
