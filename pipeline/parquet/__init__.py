"""Parquet files in parts: row groups and pages that are copied as they lie, footers made anew."""
