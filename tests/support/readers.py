"""What `lake init` wrote, in the hands of the readers that it is for. Prints JSON on stdout.

usage: readers.py ask LAKE SQL          rows of a query over views.sql
       readers.py views LAKE            {view: [[column, type], …]} of everything in views.sql
       readers.py queries LAKE          [[title, rows], …] of each statement of queries.sql
       readers.py glue LAKE             the statements of glue.sql as sqlglot's Athena dialect understands them
       readers.py athena_rows LAKE      {view: [rows as DuckDB's view has them, rows as Athena's would]}
       readers.py pyarrow LAKE          {table: [[column, type], …], rows and rows of last results} by read_pyarrow.py
       readers.py duckdb_rows LAKE TABLE    all rows of a table's view, times as milliseconds
       readers.py pyarrow_rows LAKE TABLE   the same by read_pyarrow.py
       readers.py dbt LAKE              sources.yml
       readers.py ducklake LAKE         runs ducklake.sql twice in LAKE: rows of its tables, and snapshots
"""

import glob
import importlib.util
import json
import os
import re
import sys

import duckdb


def text(lake, name):
    with open(os.path.join(lake, name), encoding="utf-8") as file:
        return file.read()


def opened(lake):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(text(lake, "views.sql"))
    return connection


def rows(result):
    columns = result.to_arrow_table().columns
    return [list(row) for row in zip(*(column.to_pylist() for column in columns))]


def ask(lake, sql):
    answer = opened(lake).sql(sql)
    return [] if answer is None else rows(answer)


def views(lake):
    connection = opened(lake)
    names = [name for (name,) in connection.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()]
    return {name: [row[:2] for row in rows(connection.sql(f"DESCRIBE FROM {name}"))] for name in names}


def queries(lake):
    connection = opened(lake)
    answers = []
    for statement in connection.extract_statements(text(lake, "queries.sql")):
        (title,) = re.findall(r"^-- (\d+\. .*)$", statement.query, re.MULTILINE)
        answers.append([title, rows(connection.execute(statement))])
    return answers


def statements(sql):
    """Athena takes one at a time, and so does sqlglot: each is of another engine's grammar."""
    return [piece for piece in re.split(r";\s*\n", sql) if piece.strip()]


def glue(lake):
    import sqlglot
    from sqlglot import exp

    understood = []
    for statement in statements(text(lake, "glue.sql")):
        tree = sqlglot.parse_one(statement, dialect="athena")
        assert not isinstance(tree, exp.Command), statement
        told = {"kind": f"{tree.key} {tree.args['kind']}".lower(), "name": tree.find(exp.Table).sql()}
        if told["kind"] == "create table":
            told |= external_table(tree)
        understood.append(told)
    return understood


def external_table(tree):
    from sqlglot import exp

    def columns(holder):
        return [
            [
                column.name,
                column.args["kind"].sql(dialect="hive").lower(),
                column.find(exp.CommentColumnConstraint).this.this,
            ]
            for column in holder.expressions
        ]

    properties = tree.args["properties"]
    partition = properties.find(exp.PartitionedByProperty)
    return {
        "comment": properties.find(exp.SchemaCommentProperty).this.this,
        "columns": columns(tree.this),
        "partition": columns(partition.this) if partition else [],
        "location": properties.find(exp.LocationProperty).this.this,
        "format": properties.find(exp.FileFormatProperty).this.name,
        "properties": {
            one.this.this: one.args["value"].this for one in properties.expressions if type(one) is exp.Property
        },
    }


def athena_rows(lake):
    """Athena's views in DuckDB's words, over the same files."""
    import sqlglot
    from sqlglot import exp

    views = opened(lake)
    athena = duckdb.connect()
    athena.execute("SET TimeZone = 'UTC'; CREATE SCHEMA transcripts")
    compared = {}
    for statement in statements(text(lake, "glue.sql")):
        tree = sqlglot.parse_one(statement, dialect="athena")
        name = tree.find(exp.Table).name
        if tree.key != "create" or tree.args["kind"] == "DATABASE":
            continue
        if tree.args["kind"] == "TABLE":
            by_day = ", hive_types = {'dt': VARCHAR}, union_by_name = true, filename = true"
            files, how = ("current.parquet", "") if name == "hidden_files" else ("*/*.parquet", by_day)
            athena.execute(
                f"CREATE VIEW transcripts.{name} AS SELECT * FROM read_parquet('{os.path.join(lake, name, files)}'{how})"
            )
            continue
        for column in tree.find_all(exp.Column):
            if column.name == "$path":
                column.this.set("this", "filename")
        athena.execute(tree.sql(dialect="duckdb"))
        columns = ", ".join(row[0] for row in views.sql(f"DESCRIBE FROM {name}").fetchall())
        compared[name] = [
            rows(views.sql(f"SELECT {columns} FROM {name} ORDER BY ALL")),
            rows(athena.sql(f"SELECT * FROM transcripts.{name} ORDER BY ALL")),
        ]
    return compared


def reader(lake):
    described = importlib.util.spec_from_file_location("read_pyarrow", os.path.join(lake, "read_pyarrow.py"))
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


def pyarrow(lake):
    module = reader(lake)
    seen = {}
    for name in module.COLUMNS:
        table = module.table(name)
        seen[name] = {"columns": [[field.name, str(field.type)] for field in table.schema], "rows": table.num_rows}
    for name in ("recordings", "segments", "words"):
        seen[name]["current"] = module.current(name, columns=["recording_id"]).num_rows
    return seen


def duckdb_rows(lake, table):
    connection = opened(lake)
    kinds = connection.sql(f"DESCRIBE FROM {table}").fetchall()
    columns = [f"epoch_ms({name})" if kind.startswith("TIMESTAMP") else name for name, kind, *_ in kinds]
    return in_order(rows(connection.sql(f"SELECT {', '.join(columns)} FROM {table}")))


def pyarrow_rows(lake, table):
    import pyarrow as pa

    read = reader(lake).table(table)
    columns = [
        column.cast(pa.int64()).to_pylist() if pa.types.is_timestamp(column.type) else column.to_pylist()
        for column in read.columns
    ]
    return in_order([list(row) for row in zip(*columns)])


def in_order(values):
    return sorted(values, key=lambda row: json.dumps(row))


def dbt(lake):
    import yaml

    return yaml.safe_load(text(lake, "sources.yml"))


def ducklake(lake):
    import duckdb_extension_ducklake

    folder = os.path.dirname(duckdb_extension_ducklake.__file__)
    (extension,) = glob.glob(os.path.join(folder, "extensions", "*", "ducklake.duckdb_extension"))
    connection = opened(lake)
    os.chdir(lake)
    # The extension is here already; a person's DuckDB fetches it.
    recipe = text(lake, "ducklake.sql").replace("INSTALL ducklake;", f"LOAD '{extension}';").replace("LOAD ducklake;", "")
    seen = []
    for _ in range(2):
        connection.execute(recipe)
        counts = [
            connection.sql(f"SELECT count(*) FROM history.{table}").fetchone()[0]
            for table in ("recordings", "segments", "words")
        ]
        seen.append([*counts, connection.sql("SELECT count(*) FROM history.snapshots()").fetchone()[0]])
    return seen


COMMANDS = (ask, views, queries, glue, athena_rows, pyarrow, duckdb_rows, pyarrow_rows, dbt, ducklake)

if __name__ == "__main__":
    (command,) = (command for command in COMMANDS if command.__name__ == sys.argv[1])
    json.dump(command(*sys.argv[2:]), sys.stdout, default=str, ensure_ascii=False)
