"""Measures what a fleet costs: the same short recordings by one process with WORKERS workers over SQLite, and by WORKERS
worker processes over NATS with a coordinator, in turns. Prints CPU seconds and wall time of each and the ratios.

usage: fleet.py TRANSCRIBE ZOOM_SERVER NATS_SERVER MODELS_DIR MODEL FILE [RECORDINGS] [ROUNDS]
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

WORKERS = 4
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid):
    """CPU seconds of a process, of its living children, and of those that it has waited for."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    seconds = sum(int(fields[index]) for index in (11, 12, 13, 14)) / TICKS
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        seconds += sum(cpu_of(int(child)) for child in (task / "children").read_text().split())
    return seconds


def until(condition, what):
    """Waits until something is so, at most a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{what} does not come up")
        time.sleep(0.05)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def healthy(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz").status == 200
    except OSError:
        return False


def sweep(program, folder, environment):
    """One run to its end: its summary, CPU seconds and wall time."""
    began = time.monotonic()
    process = subprocess.Popen([program, "--since", "30d", "--format", "json", "-q"], cwd=folder, env=environment,
                               stdout=subprocess.PIPE)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"the run ended with status {status}: {output.decode()}")
    return json.loads(output), usage.ru_utime + usage.ru_stime, time.monotonic() - began


def alone(program, environment, recordings):
    with tempfile.TemporaryDirectory() as folder:
        summary, cpu, wall = sweep(program, folder, environment | {"TRANSCRIBE__STT__WORKERS": str(WORKERS)})
    assert summary["done"] == recordings, summary
    return cpu, wall


def fleet(program, nats_server, environment, recordings):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        port, health = free_port(), free_port()
        nats = subprocess.Popen([nats_server, "-a", "127.0.0.1", "-p", str(port), "-m", str(health), "-js", "-sd",
                                 str(folder / "js"), "-l", str(folder / "nats.log")])
        workers = []
        try:
            until(lambda: healthy(health), "nats-server")
            environment = environment | {"TRANSCRIBE__QUEUE__URL": f"nats://127.0.0.1:{port}/bench",
                                         "TRANSCRIBE__LAKE__URL": str(folder / "lake")}
            for number in range(WORKERS):
                home = folder / f"worker{number}"
                home.mkdir()
                listen = free_port()
                own = {"TRANSCRIBE__STT__WORKERS": "1", "TRANSCRIBE__TELEMETRY__METRICS_LISTEN": f"127.0.0.1:{listen}"}
                worker = subprocess.Popen([program, "worker", "-q"], cwd=home, env=environment | own)
                workers.append((worker, listen))
            for _, listen in workers:
                until(lambda listen=listen: is_ready(listen), "a worker")
            before = [cpu_of(worker.pid) for worker, _ in workers]
            (folder / "leader").mkdir()
            summary, cpu, wall = sweep(program, folder / "leader", environment)
            assert summary["done"] == recordings, summary
            after = [cpu_of(worker.pid) for worker, _ in workers]
            return cpu + sum(after) - sum(before), wall, cpu
        finally:
            for worker, _ in workers:
                worker.send_signal(signal.SIGTERM)
                worker.wait()
            nats.kill()
            nats.wait()


def is_ready(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz").status == 200
    except OSError:
        return False


def main():
    program, zoom_server, nats_server, models, model, file = sys.argv[1:7]
    recordings = int(sys.argv[7]) if len(sys.argv) > 7 else 400
    rounds = int(sys.argv[8]) if len(sys.argv) > 8 else 3
    program = str(pathlib.Path(program).absolute())
    with tempfile.TemporaryDirectory() as offered:
        for number in range(recordings):
            shutil.copy(file, pathlib.Path(offered) / f"{number:04}.mp3")
        zoom = subprocess.Popen([zoom_server, "--recordings", offered], stdout=subprocess.PIPE, text=True)
        try:
            zoom.stdout.readline()
            environment = {"HOME": offered, "TRANSCRIBE__PATHS__MODELS_DIR": str(pathlib.Path(models).absolute()),
                           "TRANSCRIBE__STT__MODEL": model, "TRANSCRIBE__STT__THREADS": "1",
                           "TRANSCRIBE__ZOOM__PLAN": "business", "TRANSCRIBE__ZOOM__RATE_SHARE": "1"}
            for _ in range(6):
                name, _, value = zoom.stdout.readline().strip().partition("=")
                environment[name] = value
            results = []
            for number in range(rounds):
                one, many = alone(program, environment, recordings), fleet(program, nats_server, environment, recordings)
                results.append((one, many))
                print(f"round {number + 1}: SQLite {one[0]:.1f} CPU s, {one[1]:.1f} s wall; NATS {many[0]:.1f} CPU s "
                      f"({many[2]:.1f} of them the coordinator's), {many[1]:.1f} s wall; CPU {many[0] / one[0]:.3f} x, "
                      f"wall {many[1] / one[1]:.3f} x", flush=True)
            cpu = statistics.median(many[0] / one[0] for one, many in results)
            wall = statistics.median(many[1] / one[1] for one, many in results)
            print(f"{recordings} recordings, {WORKERS} workers, median of {rounds}: CPU {cpu:.3f} x, wall {wall:.3f} x")
        finally:
            zoom.kill()
            zoom.wait()


if __name__ == "__main__":
    main()
