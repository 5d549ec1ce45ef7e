"""Long-running services: over Kafka (`streaming`), in one process (`serve`), and what both need."""
