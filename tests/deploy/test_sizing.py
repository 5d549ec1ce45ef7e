"""The sizing table follows from the measured figures in the documents."""

from __future__ import annotations

from dataclasses import replace

from scripts.sizing import PATH, Measured, costs, fresh, machines, storage


def test_the_table_is_up_to_date() -> None:
    held = PATH.read_text(encoding="utf-8")
    assert fresh(held) == held, "run: python -m scripts.sizing"


MEASURED = Measured(memory=2000, message=2000.0, mirror=3000.0, speed=10.0, second=1.5)


def cells(line: str) -> list[str]:
    return line.strip("| ").split(" | ")


def test_sizes_grow_with_segments_and_with_what_is_measured() -> None:
    # 2,512 bytes of index; twice that and 2 GB; 3,512 + 3 x 2,512; 3 x 2,512; 2 x 2,512.
    assert cells(storage(MEASURED)[2]) == [
        *("1,000,000", "1,111", "2.5 GB", "7.0 GB", "11.0 GB", "5.0 GB", "7.5 GB")
    ]
    # 1,111.1 h / 10 / 24 days.
    assert cells(machines(MEASURED)[2]) == ["1,000,000", "4.6", "1", "12", "3", "6"]
    (largest,) = [line for line in storage(MEASURED) if line.startswith("| 1,000,000,000 ")]
    assert "use Qdrant" in largest
    (largest,) = [line for line in machines(MEASURED) if line.startswith("| 1,000,000,000 ")]
    # 4,629.6 days: 155 embedders; two copies of 805 bytes in three quarters of 64 GiB: 32 nodes.
    assert cells(largest)[1:] == ["4,629.6", "155", "310", "32", "64"]
    assert storage(replace(MEASURED, memory=9000))[2] != storage(MEASURED)[2]
    assert machines(replace(MEASURED, speed=20.0))[2] != machines(MEASURED)[2]


def test_a_second_opinion_has_an_index_of_its_own() -> None:
    # Twice 2.512 GB; twice that and 2 GB; twice 11.048 and 5.024 GB.
    assert cells(storage(MEASURED, 2)[2]) == [
        *("1,000,000", "1,111", "5.0 GB", "12.0 GB", "22.1 GB", "10.0 GB")
    ]
    # 1.5 times 4.63 days at 100; 12.048 GB at 10; 22.096 + 7 x 10.048 GB at 1.
    assert cells(costs(MEASURED, 100, 10, 1, 2)[2]) == ["1,000,000", "694", "120", "92"]


def test_costs_are_the_readers_prices_times_days_and_gigabytes() -> None:
    # 4.63 days at 100; 7.024 GB at 10; 11.048 + 7.536 + 7 x 5.024 GB at 1.
    assert cells(costs(MEASURED, 100, 10, 1)[2]) == ["1,000,000", "463", "70", "54"]
    assert cells(costs(MEASURED, 200, 10, 1)[2])[1] == "926"
