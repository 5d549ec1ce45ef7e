"""The routes of banks and exceptions."""
