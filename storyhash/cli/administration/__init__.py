"""Commands on what a service keeps in its state: API keys, webhooks and the audit log."""
