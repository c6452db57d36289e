"""Reads the lake with Spark 3.4 or later. Written by `transcribe lake init`.

    spark-submit read_spark.py                 # how many rows there are

    import read_spark
    spark = read_spark.session()
    read_spark.views(spark)
    spark.sql("SELECT started_at, text FROM current_recordings WHERE dt >= '2026-11-01'").show()

A bucket is read through s3a: add --packages org.apache.hadoop:hadoop-aws:VERSION, the one of your Hadoop. Where the
tables are in a Glue or Hive catalogue by glue.sql, none of this is needed.
"""

from pyspark.sql import SparkSession, functions

LAKE = "@url@"

# The columns of each table, whatever versions wrote its files.
COLUMNS = {
@columns@}

# The last result of a recording has place 1.
PLACES = """
SELECT *, row_number() OVER (PARTITION BY recording_id ORDER BY transcribed_at DESC, fingerprint DESC) AS place
FROM recordings
"""


def session():
    """A session in which timestamps are shown in UTC, as they are stored."""
    return SparkSession.builder.appName("transcripts").config("spark.sql.session.timeZone", "UTC").getOrCreate()


def table(spark, name):
    """All rows of a table, results that were replaced later included."""
    root = LAKE.replace("s3://", "s3a://", 1) if "://" in LAKE else "file://" + LAKE
    schema = ", ".join(COLUMNS[name])
    folder = spark._jvm.org.apache.hadoop.fs.Path(f"{root}/{name}")
    if not folder.getFileSystem(spark._jsc.hadoopConfiguration()).exists(folder):
        return spark.createDataFrame([], schema)
    # Files that do not count: they are being replaced or removed.
    hidden = spark.read.parquet(f"{root}/hidden_files/current.parquet").select("key")
    rows = spark.read.schema(schema).parquet(f"{root}/{name}")
    key = functions.regexp_extract("_metadata.file_path", "[^/]+/[^/]+/[^/]+$", 0)
    return rows.withColumn("key", key).join(hidden, "key", "left_anti").drop("key")


def views(spark):
    """Every table as a view of its name, and current_recordings, current_segments and current_words."""
    for name in COLUMNS:
        table(spark, name).createOrReplaceTempView(name)
    spark.sql(PLACES).where("place = 1").drop("place").createOrReplaceTempView("current_recordings")
    for name, condition in (("segments", "WHERE NOT suppressed"), ("words", "")):
        spark.sql(
            f"CREATE OR REPLACE TEMPORARY VIEW current_{name} AS SELECT {name}.* FROM {name} "
            f"LEFT SEMI JOIN current_recordings USING (recording_id, fingerprint) {condition}"
        )


if __name__ == "__main__":
    spark = session()
    views(spark)
    for name in [*COLUMNS, "current_recordings", "current_segments", "current_words"]:
        print(f"{name:18} {spark.table(name).count():9} rows")
