"""The searcher's HTTP API."""
