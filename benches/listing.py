"""Measures how a long listing gets into the ledger: the real program against the server that speaks Zoom, in a process of
its own, with as many recordings as asked for. The run claims nothing (--max-time 1ms): it lists, enqueues and ends with 5.

usage: listing.py TRANSCRIBE ZOOM_SERVER MODELS_DIR MODEL RECORDINGS
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time


def main():
    program, server, models = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:4])
    model, recordings = sys.argv[4:]
    serving = subprocess.Popen([server, "--made-up", recordings], stdout=subprocess.PIPE, text=True)
    try:
        serving.stdout.readline()
        environment = dict(os.environ)
        for line in serving.stdout:
            name, _, value = line.strip().partition("=")
            environment[name] = value
            if name.endswith("DOWNLOAD_HOSTS"):
                break
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            command = [program, "--since", "31d", "--max-time", "1ms", "-q", "--format", "json",
                       "--set", f"paths.state_dir={folder / 'state'}", "--set", f"paths.models_dir={models}",
                       "--set", f"lake.url={folder / 'lake'}", "--set", f"stt.model={model}",
                       "--set", "zoom.plan=business", "--set", "zoom.rate_share=1.0"]
            began = time.monotonic()
            run = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=folder)
            output = run.stdout.read()
            _, _, usage = os.wait4(run.pid, 0)
            summary = json.loads(output)
            print(f"{summary['listed']} listed, {summary['waiting']} in the ledger: {time.monotonic() - began:.1f} s, "
                  f"{usage.ru_utime + usage.ru_stime:.1f} CPU s, peak memory {usage.ru_maxrss / 1024:.0f} MiB")
    finally:
        serving.kill()


if __name__ == "__main__":
    main()
