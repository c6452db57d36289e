"""Reads a lake the way data teams do: with DuckDB and with PyArrow. Prints JSON on stdout.

usage: read_lake.py query LAKE SQL       rows of a DuckDB query; paths in it are relative to LAKE
       read_lake.py describe LAKE GLOB   [column, type] as DuckDB sees these files, partition key included
       read_lake.py arrow LAKE TABLE     [column, type] as PyArrow sees the table, partition key included,
                                         and its number of rows
       read_lake.py physical FILE        [column, physical type, logical type] of one file
"""

import json
import os
import sys

import duckdb
import pyarrow.dataset
import pyarrow.parquet


def query(lake, sql):
    os.chdir(lake)
    return [list(row) for row in duckdb.sql(sql).fetchall()]


def describe(lake, glob):
    return [row[:2] for row in query(lake, f"DESCRIBE FROM read_parquet('{glob}', hive_partitioning=true, hive_types={{'dt': VARCHAR}})")]


def arrow(lake, table):
    partitioning = pyarrow.dataset.partitioning(pyarrow.schema([("dt", pyarrow.string())]), flavor="hive")
    dataset = pyarrow.dataset.dataset(os.path.join(lake, table), format="parquet", partitioning=partitioning)
    rows = dataset.to_table()
    return {"columns": [[field.name, str(field.type)] for field in rows.schema], "rows": rows.num_rows}


def physical(path):
    schema = pyarrow.parquet.ParquetFile(path).schema
    columns = [schema.column(index) for index in range(len(schema))]
    return [[column.name, column.physical_type, str(column.logical_type)] for column in columns]


COMMANDS = {"query": query, "describe": describe, "arrow": arrow, "physical": physical}

if __name__ == "__main__":
    json.dump(COMMANDS[sys.argv[1]](*sys.argv[2:]), sys.stdout, default=str, ensure_ascii=False)
