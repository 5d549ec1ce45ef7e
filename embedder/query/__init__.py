"""Query videos: passes, views, windows and long queries in pieces."""
