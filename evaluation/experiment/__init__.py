"""Experiments: queries against indexes, resumable, in worker processes."""
