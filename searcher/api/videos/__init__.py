"""The videos of the catalogue: added, shown, changed and deleted."""
