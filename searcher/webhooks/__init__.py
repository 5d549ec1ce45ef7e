"""Webhooks: events of a service are sent to other services."""
