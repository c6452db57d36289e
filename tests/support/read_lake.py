"""Reads a lake the way data teams do: with DuckDB and with PyArrow. Prints JSON on stdout.

usage: read_lake.py query LAKE SQL       rows of a DuckDB query; paths in it are relative to LAKE
       read_lake.py describe LAKE GLOB   [column, type] as DuckDB sees these files, partition key included
       read_lake.py arrow LAKE TABLE     [column, type] as PyArrow sees the table, partition key included,
                                         and its number of rows
       read_lake.py arrow_of_all LAKE TABLE   the same of files of several versions
       read_lake.py physical FILE        [column, physical type, logical type] of one file
       read_lake.py rows LAKE...         {table: [columns, rows in order]} of each lake, without what belongs to
                                         the run that made a row; `runs` is left out
       read_lake.py without_columns FILE NAME,…   writes a file anew without these columns and without a version
       read_lake.py remote ENDPOINT KEY SECRET SQL    rows of a DuckDB query over a store that speaks S3
       read_lake.py counted LAKE...      recordings that the runs of each lake counted as done and as failed
"""

import glob
import json
import os
import sys

import duckdb

# Who made a row, when, and in how many tries: what two runs over the same recordings may tell differently.
OF_THE_RUN = {"run_id", "attempt", "attempts", "transcribed_at", "fetched_at", "first_seen_at", "last_tried_at"}


def query(lake, sql):
    os.chdir(lake)
    return [list(row) for row in duckdb.sql(sql).fetchall()]


def describe(lake, glob):
    return [row[:2] for row in query(lake, f"DESCRIBE FROM read_parquet('{glob}', hive_partitioning=true, hive_types={{'dt': VARCHAR}})")]


def rows(*lakes):
    return [rows_of(lake) for lake in lakes]


def rows_of(lake):
    tables = {}
    for table in sorted(os.listdir(lake)):
        if table in ("runs", "hidden_files") or not os.path.isdir(os.path.join(lake, table)):
            continue
        columns = [name for name, _ in describe(lake, f"{table}/**/*.parquet") if name not in OF_THE_RUN]
        names = ", ".join(f'"{name}"::VARCHAR' for name in columns)
        files = f"read_parquet('{table}/**/*.parquet', hive_partitioning=true, hive_types={{'dt': VARCHAR}})"
        tables[table] = [columns, query(lake, f"SELECT {names} FROM {files} ORDER BY ALL")]
    return tables


def remote(endpoint, key, secret, sql):
    import duckdb_extension_httpfs

    folder = os.path.dirname(duckdb_extension_httpfs.__file__)
    (extension,) = glob.glob(os.path.join(folder, "extensions", "*", "httpfs.duckdb_extension"))
    duckdb.sql(f"LOAD '{extension}'")
    host = endpoint.removeprefix("http://")
    duckdb.sql(
        f"CREATE SECRET (TYPE s3, KEY_ID '{key}', SECRET '{secret}', ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false)"
    )
    return [list(row) for row in duckdb.sql(sql).fetchall()]


def without_columns(path, names):
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path, partitioning=None)
    kept = table.drop_columns(names.split(",")).replace_schema_metadata(None)
    pyarrow.parquet.write_table(kept, path)
    return kept.num_rows


def counted(*lakes):
    return [counted_in(lake) for lake in lakes]


def counted_in(lake):
    if not glob.glob(os.path.join(lake, "runs/*/*.parquet")):
        return [0, 0]
    sums = "coalesce(sum(done), 0)::BIGINT, coalesce(sum(failed), 0)::BIGINT"
    return query(lake, f"SELECT {sums} FROM read_parquet('runs/**/*.parquet')")[0]


def arrow(lake, table):
    import pyarrow.dataset  # here: it takes long to load

    partitioning = pyarrow.dataset.partitioning(pyarrow.schema([("dt", pyarrow.string())]), flavor="hive")
    dataset = pyarrow.dataset.dataset(os.path.join(lake, table), format="parquet", partitioning=partitioning)
    rows = dataset.to_table()
    return {"columns": [[field.name, str(field.type)] for field in rows.schema], "rows": rows.num_rows}


def arrow_of_all(lake, table):
    import pyarrow
    import pyarrow.dataset
    import pyarrow.parquet

    files = sorted(glob.glob(os.path.join(lake, table, "*", "*.parquet")))
    schemas = [pyarrow.parquet.read_schema(path).remove_metadata() for path in files]
    widest = max(schemas, key=len)
    schema = pyarrow.unify_schemas([widest, *schemas]).append(pyarrow.field("dt", pyarrow.string()))
    partitioning = pyarrow.dataset.partitioning(pyarrow.schema([("dt", pyarrow.string())]), flavor="hive")
    folder = os.path.join(lake, table)
    rows = pyarrow.dataset.dataset(folder, schema=schema, format="parquet", partitioning=partitioning).to_table()
    return {"columns": [[field.name, str(field.type)] for field in rows.schema], "rows": rows.num_rows}


def physical(path):
    import pyarrow.parquet

    schema = pyarrow.parquet.ParquetFile(path).schema
    columns = [schema.column(index) for index in range(len(schema))]
    return [[column.name, column.physical_type, str(column.logical_type)] for column in columns]


COMMANDS = (query, describe, arrow, arrow_of_all, physical, rows, counted, remote, without_columns)

if __name__ == "__main__":
    (command,) = (command for command in COMMANDS if command.__name__ == sys.argv[1])
    json.dump(command(*sys.argv[2:]), sys.stdout, default=str, ensure_ascii=False)
