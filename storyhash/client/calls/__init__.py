"""Every call of the HTTP API, described once for both clients. A module per group of routes."""
