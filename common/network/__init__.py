"""Host names and network addresses: which of them a service may connect to."""
