"""State that lasts beside the index: API keys and the audit log, in SQLite or PostgreSQL."""
