"""The composition root: the command line and the only code that knows every package."""
