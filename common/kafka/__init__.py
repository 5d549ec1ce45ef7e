"""Kafka; the only package that imports kafka-python.

`transport` implements `common.messaging.transport` with `publisher`, `group_consumer` and `log_consumer`.
`client` opens connections and translates their errors; `topics` creates and checks topics.
"""
