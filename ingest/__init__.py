"""From catalogue files to segments."""
