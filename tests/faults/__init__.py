"""What streaming promises, tried under fire: real services on a real broker, stopped and broken.

`scripts/faults NAME` runs one; they take minutes and are no part of the test run.
"""
