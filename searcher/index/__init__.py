"""The vector index: an HNSW graph, a delta that is searched exactly, and immutable states of both."""
