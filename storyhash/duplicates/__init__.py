"""Duplicates in a catalogue: found, ranked by their picture, and shown."""
