"""The routes of stored matches, their verdicts, and feedback."""
