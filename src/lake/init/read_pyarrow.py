"""Reads the lake with PyArrow, into its tables or those of pandas. Written by `transcribe lake init`.

    pip install pyarrow
    python read_pyarrow.py                     # how many rows there are

    import read_pyarrow
    recordings = read_pyarrow.current("recordings", since="2026-11-01").to_pandas()
    segments = read_pyarrow.current("segments", since="2026-11-01", columns=["recording_id", "start_ms", "text"])

A bucket is read with the credentials of the environment; of a store that is not AWS with
LAKE = "s3://…?endpoint_override=host:port&scheme=https".
"""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq

LAKE = "@url@"

# The columns of each table, whatever versions wrote its files.
COLUMNS = {
@columns@}


def table(name, since="", columns=None):
    """All rows of a table from the day `since` on (YYYY-MM-DD), results that were replaced later included."""
    store, root = place()
    hidden = {f"{root}/{key}" for key in hidden_files(store, root)}
    found = store.get_file_info(pyarrow.fs.FileSelector(f"{root}/{name}", recursive=True, allow_not_found=True))
    files = sorted(info.path for info in found if info.path.endswith(".parquet") and info.path not in hidden)
    days = ds.partitioning(pa.schema([("dt", pa.string())]), flavor="hive")
    rows = ds.dataset(
        files, schema=pa.schema(COLUMNS[name]), format="parquet", filesystem=store, partitioning=days,
        partition_base_dir=f"{root}/{name}",
    )
    return rows.to_table(columns=columns, filter=pc.field("dt") >= since)


def current(name, since="", columns=None):
    """The rows of `recordings`, `segments` or `words` that belong to the last result of their recording."""
    order = [("transcribed_at", "descending"), ("fingerprint", "descending")]
    results = table("recordings", since, ["recording_id", "fingerprint", "transcribed_at"]).sort_by(order)
    last = results.group_by("recording_id", use_threads=False).aggregate([("fingerprint", "first")])
    is_last = pc.field("fingerprint").isin(last["fingerprint_first"].combine_chunks())
    if columns is not None:
        columns = list(dict.fromkeys([*columns, "fingerprint"]))
    return table(name, since, columns).filter(is_last)


def place():
    """The file system and the root of the lake in it."""
    if "://" in LAKE:
        store, root = pyarrow.fs.FileSystem.from_uri(LAKE)
        return store, root.rstrip("/")
    return pyarrow.fs.LocalFileSystem(), LAKE


def hidden_files(store, root):
    """Files that do not count: they are being replaced or removed."""
    return pq.read_table(f"{root}/hidden_files/current.parquet", filesystem=store)["key"].to_pylist()


if __name__ == "__main__":
    for name in COLUMNS:
        print(f"{name:16} {table(name).num_rows:9} rows")
    for name in ("recordings", "segments", "words"):
        print(f"{name:16} {current(name).num_rows:9} rows of last results")
