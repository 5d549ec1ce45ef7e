"""Frames in, tracks of moving things out."""
