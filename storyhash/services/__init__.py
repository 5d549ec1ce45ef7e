"""The three services over Kafka: stages joined with a transport, health and metrics."""
