"""Review of matches: they are kept, people judge them, and exceptions correct later answers."""
