"""Runs the very statements of glue.sql in Spark with a Hive metastore, and reads a lake by them.

usage: spark_lake.py LAKE      a lake in a folder, every table of which has a file

Tables are made as they stand, but for the address of a lake in a folder. Views are translated from Athena's words to
Spark's by sqlglot; what it cannot translate is below. Every view must show the rows that DuckDB shows.
"""

import os
import re
import sys
import tempfile

import duckdb
import sqlglot
from pyspark.sql import SparkSession
from sqlglot import exp

PLACE = "s3://YOUR-BUCKET/YOUR-PREFIX"


def main(lake):
    with tempfile.TemporaryDirectory() as scratch:
        spark = session(scratch)
        run(spark, lake)
        compare(spark, lake)
        snippet(spark, lake)
        spark.stop()


def session(scratch):
    """Hive's metastore in Derby, in a folder that goes again."""
    return (
        SparkSession.builder.master("local[2]")
        .appName("glue.sql")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.warehouse.dir", f"{scratch}/warehouse")
        .config("spark.hadoop.javax.jdo.option.ConnectionURL", f"jdbc:derby:{scratch}/metastore;create=true")
        .config("spark.driver.extraJavaOptions", f"-Dderby.system.home={scratch} -Duser.timezone=UTC")
        .enableHiveSupport()
        .getOrCreate()
    )


def run(spark, lake):
    with open(os.path.join(lake, "glue.sql"), encoding="utf-8") as file:
        statements = [piece for piece in re.split(r";\s*\n", file.read()) if piece.strip()]
    partitioned = []
    for statement in statements:
        tree = sqlglot.parse_one(statement, dialect="athena")
        if tree.key == "create" and tree.args["kind"] == "VIEW":
            statement = in_spark(tree)
        else:
            statement = statement.replace(PLACE, f"file://{lake}")
        spark.sql(statement)
        if tree.key == "create" and tree.find(exp.PartitionedByProperty):
            # Athena computes the partitions; Hive is told of them.
            spark.sql(f"MSCK REPAIR TABLE {tree.find(exp.Table).sql()}")
            partitioned.append(tree.find(exp.Table).name)
    described = {row.col_name: row.comment for row in spark.sql("DESCRIBE transcripts.recordings").collect()}
    assert "Zoom's id" in described["call_id"], described
    print(f"{len(statements)} statements ran; {len(partitioned)} tables with partitions")


def in_spark(tree):
    """The view with Spark's name for the file of a row, and with what sqlglot does not translate."""
    for column in list(tree.find_all(exp.Column)):
        if column.name == "$path":
            table = column.find_ancestor(exp.Select).find(exp.Table)
            table.replace(spark_sql(f"SELECT *, input_file_name() AS path_of_row FROM {written(table)}").subquery("files"))
            column.replace(exp.column("path_of_row"))
    for added in list(tree.find_all(exp.DateAdd)):
        added.replace(spark_sql(f"{written(added.this)} + {written(added.expression)} * INTERVAL '0.001' SECOND"))
    for collected in list(tree.find_all(exp.ArrayAgg)):
        if isinstance(collected.this, exp.Order):
            in_order(collected)
    return tree.sql(dialect="spark")


def in_order(collected):
    """collect_list has no order of its own: the keys go in before the value, and out again."""
    order = collected.this
    keys = [f"{written(key.this)} AS key{place}" for place, key in enumerate(order.expressions)]
    fields = ", ".join([*keys, f"{written(order.this)} AS value"])
    outer, condition = collected, ""
    if isinstance(collected.parent, exp.Filter):
        outer = collected.parent
        condition = f"FILTER ({written(outer.expression)})"
    outer.replace(spark_sql(f"transform(array_sort(collect_list(struct({fields})) {condition}), one -> one.value)"))


def spark_sql(sql):
    return sqlglot.parse_one(sql, dialect="spark")


def written(tree):
    return tree.sql(dialect="spark")


def compare(spark, lake):
    views = duckdb.connect()
    views.execute("SET TimeZone = 'UTC'")
    with open(os.path.join(lake, "views.sql"), encoding="utf-8") as file:
        views.execute(file.read())
    for (name,) in views.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1").fetchall():
        expected = views.sql(f"SELECT count(*) FROM {name}").fetchone()[0]
        read = spark.table(f"transcripts.{name}").collect()
        assert len(read) == expected, (name, len(read), expected)
        print(f"{name:22} {len(read):5} rows")
    for view, columns in (
        ("current_segments", "recording_id, segment_index, start_ms, text, dt"),
        ("calls", "call_key, legs, recording_ids, agents, recorded_seconds, talk_seconds, text, dt"),
    ):
        seen = [plain(row) for row in spark.sql(f"SELECT {columns} FROM transcripts.{view} ORDER BY ALL").collect()]
        expected = [plain(row) for row in views.sql(f"SELECT {columns} FROM {view} ORDER BY ALL").fetchall()]
        assert seen == expected, (view, seen, expected)


def plain(row):
    # An agent of no call is an empty list here and null there.
    return [value or None for value in row]


def snippet(spark, lake):
    sys.path.insert(0, lake)
    import read_spark

    read_spark.views(spark)
    for name in [*read_spark.COLUMNS, "current_recordings", "current_segments", "current_words"]:
        by_path, by_table = spark.table(name).count(), spark.table(f"transcripts.{name}").count()
        assert by_path == by_table, (name, by_path, by_table)
    print("read_spark.py reads the same")


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
