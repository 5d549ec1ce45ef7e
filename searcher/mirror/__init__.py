"""The durable copy of the vectors in Qdrant: server, embedded, or local mode of the client."""
