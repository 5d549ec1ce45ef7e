"""The nearest segments of vectors."""
