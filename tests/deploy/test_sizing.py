"""The sizing table follows from the measured figures in the documents."""

from __future__ import annotations

from dataclasses import replace

from scripts.sizing import PATH, Measured, fresh, table


def test_the_table_is_up_to_date() -> None:
    held = PATH.read_text(encoding="utf-8")
    assert fresh(held) == held, "run: python -m scripts.sizing"


def test_sizes_grow_with_segments_and_with_what_is_measured() -> None:
    measured = Measured(memory=2000, message=2000.0, mirror=3000.0, speed=10.0)
    first = table(measured)[2].strip("| ").split(" | ")
    # 2,512 bytes of index; twice that; 3,512 + 3 x 2,512; 3 x 2,512; 2 x 2,512; 1,111.1 h / 10 / 24.
    assert first == [
        *("1,000,000", "1,111", "2.5 GB", "5.0 GB", "11.0 GB", "7.5 GB", "5.0 GB", "3", "4.6")
    ]
    (larger,) = [one for one in table(measured) if one.startswith("| 1,000,000,000 ")]
    assert "take Qdrant" in larger
    assert table(replace(measured, memory=9000))[2] != table(measured)[2]
