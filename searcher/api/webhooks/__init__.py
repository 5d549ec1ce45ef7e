"""The routes of webhooks, and the events in the API's description."""
