"""A Qdrant server or cluster: its clients, its collections, and an index over them."""
