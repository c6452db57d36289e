"""Compares the size of a file of the lake with DuckDB's own export of the same rows in the same order.

usage: size.py FILE.parquet
"""

import os
import sys
import tempfile

import duckdb

# Our bytes over DuckDB's, at most.
GOAL = 1.10


def main(ours):
    rows = duckdb.execute("SELECT count(*) FROM read_parquet(?)", [ours]).fetchone()[0]
    with tempfile.TemporaryDirectory() as folder:
        theirs = os.path.join(folder, "duckdb.parquet")
        duckdb.execute("SET preserve_insertion_order = true")
        options = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880"
        duckdb.execute(f"COPY (SELECT * FROM read_parquet('{ours}')) TO '{theirs}' ({options})")
        sizes = [os.path.getsize(path) for path in (ours, theirs)]
        columns = [by_column(path) for path in (ours, theirs)]
    ratio = sizes[0] / sizes[1]
    verdict = "met" if ratio <= GOAL else "MISSED"
    print(f"size of segments: {sizes[0] / rows:.1f} bytes per row, DuckDB {duckdb.__version__} {sizes[1] / rows:.1f}: "
          f"ratio {ratio:.3f} (goal: {GOAL}: {verdict})")
    widest = sorted(columns[0], key=columns[0].get, reverse=True)[:8]
    for name in widest:
        print(f"  {name}: {columns[0][name] / rows:.2f}, DuckDB {columns[1][name] / rows:.2f}")


def by_column(path):
    sql = "SELECT path_in_schema, sum(total_compressed_size) FROM parquet_metadata(?) GROUP BY ALL"
    return dict(duckdb.execute(sql, [path]).fetchall())


main(sys.argv[1])
