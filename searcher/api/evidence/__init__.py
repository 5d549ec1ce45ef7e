"""The route of the evidence pack of a match."""
