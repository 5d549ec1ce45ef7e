"""The evidence pack of a stored match: one file, as JSON or as an HTML page."""
