"""Features on disk: Parquet shards and their statistics."""
