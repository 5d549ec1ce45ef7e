"""The three services over Kafka: segments, embeddings, and the index that follows their log."""
