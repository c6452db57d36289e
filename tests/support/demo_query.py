"""Prints transcripts out of a lake with DuckDB."""

import sys
import unicodedata

import duckdb

QUERY = """
SELECT strftime(started_at AT TIME ZONE 'Asia/Tokyo', '%m-%d %H:%M') AS started,
       language AS lang,
       coalesce(caller_name, caller_number, '?') AS caller,
       text
FROM read_parquet('{lake}/recordings/**/*.parquet', hive_partitioning = true)
WHERE status = 'transcribed'
ORDER BY language <> 'ja', language, started_at
"""


def pad(text, width):
    """Pads to a width in terminal cells: Japanese characters take two."""
    cells = lambda s: sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in s)
    while cells(text) > width:
        text = text[:-1]
    return text + " " * (width - cells(text))


def main():
    lake = sys.argv[1]
    rows = duckdb.sql(QUERY.format(lake=lake)).fetchall()
    if not rows:
        sys.exit("no transcripts in the lake")
    print(pad("started", 12), pad("lang", 5), pad("caller", 20), "text")
    for started, lang, caller, text in rows:
        print(pad(started, 12), pad(lang or "-", 5), pad(caller, 20), text)
    if not any(lang == "ja" for _, lang, _, _ in rows):
        sys.exit("no Japanese transcript in the lake")


if __name__ == "__main__":
    main()
