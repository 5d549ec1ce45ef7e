"""Real Kafka brokers for tests and for trying things out."""

from tests.kafka_broker.broker import BrokerFailedError, KafkaBroker, KafkaCluster, can_run

__all__ = ["BrokerFailedError", "KafkaBroker", "KafkaCluster", "can_run"]
