"""Transforms, runs, rows and measures: how well StoryHash finds copies."""
