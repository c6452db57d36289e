"""Stands in for DuckDB's own program, which is no Python package: `duckdb -init FILE`, and queries on stdin.

Prints the rows of every query. The exit code is 1 when there were queries and none of them gave a row: a documented
query that finds nothing in a lake that was made for it says nothing about itself.
"""

import sys
from pathlib import Path

import duckdb


def main(*arguments):
    if arguments:
        option, file = arguments
        assert option == "-init", option
        duckdb.execute(Path(file).read_text())
    queries = duckdb.extract_statements(sys.stdin.read())
    found = 0
    for query in queries:
        rows = duckdb.sql(query.query)
        found += len(rows)
        print(rows)
    return 1 if queries and not found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
