"""Measures the webhook of `transcribe serve` in a storm of events, while the engine works on what they tell.

usage: event_storm.py TRANSCRIBE ZOOM_SERVER EVENT_STORM MODELS_DIR MODEL SAMPLE [RATE [SECONDS [IDLE]]]

Three storms of RATE signed events a second (1000) for SECONDS (60), each event about a recording of its own whose audio is
SAMPLE, a short spoken mp3, with IDLE connections beside them that say nothing (0). After each storm every event that was
answered with 200 must be in the ledger. Prints each storm's figures, the service's memory before and after, how many
recordings the engine finished meanwhile, and the best storm of the three.
"""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

SECRET = "storm-secret"
STORMS = 3


def serve_zoom(server, folder, sample):
    """Starts the server with one recording; returns it with the environment that points at it."""
    recordings = folder / "recordings"
    recordings.mkdir()
    shutil.copy(sample, recordings / "sample.mp3")
    process = subprocess.Popen([server, "--recordings", recordings], stdout=subprocess.PIPE, text=True)
    address = process.stdout.readline().strip()
    return process, address, dict(process.stdout.readline().strip().split("=", 1) for _ in range(6))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(process, port):
    """Returns when the service listens."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the service ended with {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise TimeoutError("the service does not listen")


def memory(pid):
    """Resident MiB of the process and of its children (the engine)."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            children += (task / "children").read_text().split()
    sizes = []
    for process in [pid, *set(children)]:
        with contextlib.suppress(OSError):
            lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
            sizes += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")]
    return {"service_mib": round(sizes[0]), "engine_mib": round(sum(sizes[1:]))}


def known(ledger):
    """Ids that the ledger knows of, as jobs or as events not acted upon yet; and how many are finished."""
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=30)) as connection:
        connection.execute("BEGIN")
        jobs = connection.execute("SELECT recording_id, state FROM jobs").fetchall()
        keys = [key for (key,) in connection.execute("SELECT key FROM inbox WHERE subject = 'recording'")]
    finished = sum(state in ("staged", "published") for _, state in jobs)
    return {recording for recording, _ in jobs} | {key.removeprefix("recording:") for key in keys}, finished


def storm(program, port, zoom, folder, number, rate, seconds, idle):
    """One storm from another process; returns its figures and the ids that were answered with 200."""
    answered = folder / f"answered-{number}"
    command = [program, "--url", f"http://127.0.0.1:{port}/webhooks/zoom", "--secret-env", "ZOOM_WEBHOOK_SECRET_TOKEN",
               "--rate", rate, "--seconds", seconds, "--first", str(1_000_000 * (number + 1)), "--answered", answered,
               "--download-url", f"{zoom}/v2/phone/recording/download/key-{1:032x}"]
    if int(idle):
        command += ["--idle", idle]
    environment = os.environ | {"ZOOM_WEBHOOK_SECRET_TOKEN": SECRET}
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout), set(answered.read_text().split())


def main(transcribe, server, event_storm, models, model, sample, rate="1000", seconds="60", idle="0"):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        folder = pathlib.Path(work)
        zoom, address, environment = serve_zoom(server, folder, sample)
        stack.callback(zoom.kill)
        port = free_port()
        settings = {
            "trigger.webhook.listen": f"127.0.0.1:{port}", "telemetry.metrics_listen": "off",
            "paths.state_dir": folder / "state", "paths.models_dir": os.path.abspath(models),
            "lake.url": folder / "lake", "stt.model": model, "zoom.plan": "business", "zoom.rate_share": "1.0",
        }
        command = [os.path.abspath(transcribe), "serve", "-q"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        environment |= {"HOME": work, "PATH": os.environ["PATH"], "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET}
        service = subprocess.Popen(command, env=environment, cwd=work)
        stack.callback(service.kill)
        wait_for(service, port)
        # The storm may need a file for each idle connection; the service makes do with what it usually gets.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        figures = []
        for number in range(STORMS):
            before, finished_before = memory(service.pid), known(folder / "state" / "ledger.sqlite")[1]
            seen, answered = storm(event_storm, port, address, folder, number, rate, seconds, idle)
            after = memory(service.pid)
            ids, finished = known(folder / "state" / "ledger.sqlite")
            lost = answered - ids
            seen |= {"lost": len(lost), "before": before, "after": after, "finished": finished - finished_before}
            print(json.dumps(seen), flush=True)
            assert not lost, f"{len(lost)} events were answered and are not in the ledger"
            figures.append(seen)
        service.send_signal(signal.SIGTERM)
        print(f"the service ended with {service.wait(timeout=120)}")
        best = min(figures, key=lambda seen: seen["p99_ms"])
        print(f"best of {STORMS}: p50 {best['p50_ms']} ms, p99 {best['p99_ms']} ms, longest {best['max_ms']} ms, "
              f"load {best['load_average']}, steal {100 * best['steal']:.1f} %")


if __name__ == "__main__":
    main(*sys.argv[1:])
