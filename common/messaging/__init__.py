"""Messages between services: events, their bytes, topics, the transport interface, the worker loop."""
