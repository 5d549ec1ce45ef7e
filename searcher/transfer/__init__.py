"""A catalogue in one Parquet file: written by one index, read into another one of any backend."""
