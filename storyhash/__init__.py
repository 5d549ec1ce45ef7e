"""The composition root: the command line and the one place that knows every room."""
