"""The index: stores embeddings and answers queries."""
