"""How long after its event a call is a row: `transcribe serve`, one call at a time, with nothing else to do.

usage: event_to_row.py TRANSCRIBE ZOOM_SERVER MODELS_DIR MODEL SAMPLE [CALLS]

Delivers the signed event of a call, SAMPLE, and waits until a reader of the lake finds its row; CALLS times (5). Beside it
stands what decoding and speech-to-text take (download included), as the service's log says. The goal is
1.2 x that + 1 s.
"""

import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import duckdb

SECRET = "bench-secret"


def serve_zoom(server, folder, sample):
    """Starts the server with one recording, which no sweep of the service lists; returns it and its environment."""
    recordings = folder / "recordings"
    recordings.mkdir()
    shutil.copy(sample, recordings / "sample.mp3")
    (recordings / "sample.json").write_text(json.dumps({"id": f"{1:032x}", "duration": 60, "hours_ago": 24 * 30}))
    process = subprocess.Popen([server, "--recordings", recordings], stdout=subprocess.PIPE, text=True)
    address = process.stdout.readline().strip()
    return process, address, dict(process.stdout.readline().strip().split("=", 1) for _ in range(6))


def deliver(webhook, zoom, recording):
    """Sends the event that the recording is complete; expects 200."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    item = {"id": recording, "duration": 60, "date_time": now, "end_time": now, "direction": "inbound",
            "caller_number": "1026", "callee_number": "1045",
            "download_url": f"{zoom}/v2/phone/recording/download/key-{1:032x}"}
    event = {"event": "phone.recording_completed", "event_ts": int(time.time() * 1000),
             "payload": {"account_id": "bench", "object": {"recordings": [item]}}}
    body, stamp = json.dumps(event).encode(), str(int(time.time()))
    signature = "v0=" + hmac.new(SECRET.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"x-zm-request-timestamp": stamp, "x-zm-signature": signature, "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(webhook, body, headers)) as answer:
        assert answer.status == 200


def is_row(lake, recording):
    """Whether a reader of the lake finds the recording."""
    if not any(lake.glob("recordings/**/*.parquet")):
        return False
    table = f"read_parquet('{lake}/recordings/**/*.parquet')"
    return bool(duckdb.sql(f"select 1 from {table} where recording_id = '{recording}'").fetchall())


def main(transcribe, server, models, model, sample, calls="5"):
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        folder = pathlib.Path(work)
        zoom, address, environment = serve_zoom(server, folder, sample)
        stack.callback(zoom.kill)
        settings = {
            "trigger.webhook.listen": "127.0.0.1:0", "telemetry.metrics_listen": "off", "lake.fresh_every": "0s",
            "paths.state_dir": folder / "state", "paths.models_dir": os.path.abspath(models),
            "lake.url": folder / "lake", "stt.model": model, "zoom.plan": "business",
        }
        command = [os.path.abspath(transcribe), "serve"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        environment |= {"HOME": work, "PATH": os.environ["PATH"], "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET, "NO_COLOR": "1"}
        service = subprocess.Popen(command, env=environment, cwd=work, stderr=subprocess.PIPE, text=True)
        stack.callback(service.kill)
        webhook = None
        for line in service.stderr:
            listening = re.search(r"waiting for Zoom's events address=(\S+) ", line)
            webhook = f"http://{listening[1]}/webhooks/zoom" if listening else webhook
            if " swept " in line:
                break
        waits, works = [], []
        for call in range(int(calls)):
            recording = f"{call + 100:032x}"
            began = time.monotonic()
            deliver(webhook, address, recording)
            while not is_row(folder / "lake", recording):
                time.sleep(0.02)
            waits.append(time.monotonic() - began)
            for line in service.stderr:
                if "transcribed" in line and recording in line:
                    works.append(int(re.search(r"elapsed_ms=(\d+)", line)[1]) / 1000)
                    break
    rows = [f"{wait:.2f} s of which work {work:.2f} s" for wait, work in zip(waits, works)]
    print("event to row:", "; ".join(rows))
    ratio = statistics.median((wait - 1) / work for wait, work in zip(waits, works))
    print(f"median {statistics.median(waits):.2f} s; (wait - 1 s) / work: median {ratio:.2f} (goal: at most 1.2)")


if __name__ == "__main__":
    main(*sys.argv[1:])
