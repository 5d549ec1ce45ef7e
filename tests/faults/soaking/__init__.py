"""The parts of the soak: callers, a webhook receiver, kills, measurements, and what holds at the end."""
