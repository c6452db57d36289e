"""CPU time of everything but speech-to-text, per recording: listing, ledger, download, decoding, windows, staging, publishing.

usage: per_recording.py TRANSCRIBE ZOOM_SERVER SCRIPTED_ENGINE MODELS SAMPLE RECORDINGS

The scripted engine answers at once, so what is left is the work around the engine. SAMPLE is a short spoken mp3 that is
served RECORDINGS times. Needs programs with failpoints: those that `cargo build --bin transcribe --example zoom_server
--example scripted_engine` builds.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile


def serve(server, folder, sample, recordings):
    """Starts the server and returns it with the environment that points at it."""
    for number in range(recordings):
        shutil.copy(sample, folder / f"{number:05}.mp3")
        listing = {"id": f"{number:032x}", "duration": 2, "hours_ago": 2 + number % 48}
        (folder / f"{number:05}.json").write_text(json.dumps(listing))
    process = subprocess.Popen([server, "--recordings", folder], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    variables = (process.stdout.readline().strip().split("=", 1) for _ in range(6))
    return process, dict(variables)


def main(transcribe, server, engine, models, sample, recordings):
    recordings = int(recordings)
    with tempfile.TemporaryDirectory() as work:
        folder = pathlib.Path(work) / "recordings"
        folder.mkdir()
        process, environment = serve(server, folder, sample, recordings)
        environment |= {
            "HOME": work,
            "PATH": os.environ["PATH"],
            "FAILPOINTS": f"engine-program=return({os.path.abspath(engine)})",
            "TRANSCRIBE__PATHS__MODELS_DIR": os.path.abspath(models),
            "TRANSCRIBE__STT__MODEL": "tiny.en",
            "TRANSCRIBE__ZOOM__PLAN": "business",
            "TRANSCRIBE__ZOOM__RATE_SHARE": "1",
        }
        command = [os.path.abspath(transcribe), "--since", "7d", "--format", "json", "-q"]
        run = subprocess.Popen(command, env=environment, cwd=work, stdout=subprocess.PIPE, text=True)
        summary = json.loads(run.stdout.read())
        usage = os.wait4(run.pid, 0)[2]
        process.kill()
        process.wait()
    assert summary["done"] == recordings, summary
    cpu = usage.ru_utime + usage.ru_stime
    print(f"{recordings} recordings: {cpu:.2f} CPU s, {1000 * cpu / recordings:.1f} ms each, "
          f"{summary['elapsed_seconds']:.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
