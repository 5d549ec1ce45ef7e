"""Names and configuration of the topics."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.messaging.topics import TopicNames, TopicSpec, max_message_bytes, topic_specs
from common.settings import KafkaSettings, VideoSettings

VIDEO = VideoSettings()


def specs(**settings: object) -> dict[str, TopicSpec]:
    kafka = KafkaSettings.model_validate({"topic_prefix": "t", **settings})
    return {spec.name: spec for spec in topic_specs(kafka, VIDEO)}


def test_the_first_generation_has_the_plain_names() -> None:
    assert TopicNames.of(KafkaSettings()) == TopicNames(
        segments="storyhash.segments",
        backfill="storyhash.segments.backfill",
        embeddings="storyhash.embeddings",
        matches="storyhash.matches",
        dead_letters="storyhash.dead-letters",
        clock="storyhash.clock",
    )


def test_another_generation_has_a_log_and_a_backfill_of_its_own_and_shares_the_rest() -> None:
    first = TopicNames.of(KafkaSettings())
    second = TopicNames.of(KafkaSettings(generation="sscd-2"))
    assert second.embeddings == "storyhash.embeddings.sscd-2"
    assert second.backfill == "storyhash.segments.backfill.sscd-2"
    for shared in ("segments", "matches", "dead_letters", "clock"):
        assert getattr(first, shared) == getattr(second, shared)


@given(st.from_regex(r"\A[A-Za-z0-9._-]{1,100}\Z"), st.from_regex(r"\A[a-z0-9-]{0,40}\Z"))
def test_any_names_that_settings_allow_are_six_topics_that_kafka_takes(
    prefix: str, generation: str
) -> None:
    names = [
        spec.name
        for spec in topic_specs(KafkaSettings(topic_prefix=prefix, generation=generation), VIDEO)
    ]
    assert len(set(names)) == 6
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name) for name in names)


@pytest.mark.parametrize("name", ["a b", "é", "a" * 101, "a/b"])
def test_a_prefix_that_kafka_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="topic_prefix"):
        KafkaSettings(topic_prefix=name)


@pytest.mark.parametrize("name", ["A", "a.b", "a_b", "../x", "a" * 41])
def test_a_generation_that_is_no_name_of_a_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="generation"):
        KafkaSettings(generation=name)


def test_the_log_of_vectors_is_compacted_and_kept_for_ever() -> None:
    config = specs()["t.embeddings"].config
    assert config["cleanup.policy"] == "compact"
    assert "retention.ms" not in config


def test_everything_else_goes_after_its_retention() -> None:
    told = specs(retention_hours=1.5)
    for name in ("t.segments", "t.segments.backfill", "t.matches", "t.dead-letters", "t.clock"):
        assert told[name].config["cleanup.policy"] == "delete"
        assert told[name].config["retention.ms"] == "5400000"


def test_dead_letters_and_the_clock_have_one_partition_so_that_they_have_an_order() -> None:
    told = specs(partitions=12)
    single = {"t.dead-letters", "t.clock"}
    assert {told[name].partitions for name in single} == {1}
    assert {spec.partitions for name, spec in told.items() if name not in single} == {12}


def test_the_time_of_every_message_is_the_brokers() -> None:
    for spec in specs().values():
        assert spec.config["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize(("replication", "in_sync"), [(1, "1"), (2, "1"), (3, "2")])
def test_a_message_counts_as_written_once_all_copies_but_one_hold_it(
    replication: int, in_sync: str
) -> None:
    for spec in specs(replication=replication).values():
        assert spec.replication == replication
        assert spec.config["min.insync.replicas"] == in_sync


def test_one_setting_bounds_clips_and_messages() -> None:
    small, large = VideoSettings(max_clip_bytes=1000), VideoSettings(max_clip_bytes=32 << 20)
    assert max_message_bytes(small) == 1 << 20
    assert max_message_bytes(large) == (32 << 20) + (64 << 10)
    for spec in topic_specs(KafkaSettings(), large):
        assert spec.config["max.message.bytes"] == str(max_message_bytes(large))
