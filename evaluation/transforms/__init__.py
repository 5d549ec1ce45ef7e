"""Edits of a video as people make them, each with the truth about what it shows where."""
