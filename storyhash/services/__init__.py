"""The three services over Kafka: rooms joined with a transport, health and metrics."""
