"""Deletes videos everywhere: the steps, the notes of deletions that have begun, the receipt."""
