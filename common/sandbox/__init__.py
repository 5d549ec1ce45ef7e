"""Child processes that can be killed, with bounded memory and few rights, for untrusted input."""
