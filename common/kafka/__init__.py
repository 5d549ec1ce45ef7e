"""Kafka: the one place that knows kafka-python.

`transport` is the seam of `common.transport` over it: `publisher`, and two ways of `reading`, `group` and
`log_reader`. `client` opens connections and says in our words what went wrong; `topics` makes and checks
topics.
"""
