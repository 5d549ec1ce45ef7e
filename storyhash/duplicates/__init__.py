"""Finds duplicates in a catalogue, ranks them by picture quality, and shows them."""
