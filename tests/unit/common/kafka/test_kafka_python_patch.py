"""The patch of kafka-python meets the version that it was written for."""

from __future__ import annotations

from importlib.metadata import version


def test_the_installed_minor_version_is_the_one_that_is_patched() -> None:
    assert version("kafka-python").split(".")[:2] == ["3", "0"], (
        "read common/kafka/kafka_python_patch.py against the installed kafka-python, then pin it anew"
    )
