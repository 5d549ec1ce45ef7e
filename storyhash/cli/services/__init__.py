"""Commands that run the services, and what manages their topics, messages and generations."""
