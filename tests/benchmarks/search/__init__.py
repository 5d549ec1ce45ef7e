"""The parts of `bench_search`."""
