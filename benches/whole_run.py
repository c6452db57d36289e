"""Measures whole runs of the real program over a folder with one file each: peak memory, CPU time, and how much of the
CPU time is spent outside the speech-to-text threads. The engine's process counts as part of the program.

usage: whole_run.py TRANSCRIBE MODELS_DIR MODEL FILE…
"""

import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")


def tasks(pid):
    """The threads of a process and of its children."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        yield task
        for child in children:
            yield from tasks(child)


def peak_memory(pid):
    """The highest resident memory so far, in KiB."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def threads_cpu(pid, peaks):
    """CPU seconds (user + system) by thread id, with the thread's name; notes the peak memory of each process."""
    seconds = {}
    for task in tasks(pid):
        try:
            stat = (task / "stat").read_text()
            process = task.parent.parent.name
            peaks[process] = max(peaks.get(process, 0), peak_memory(process))
        except OSError:
            continue
        name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
        seconds[task.name] = (name, (int(rest[11]) + int(rest[12])) / TICKS)
    return seconds


def run(program, models, model, file):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "calls").mkdir()
        shutil.copy(file, folder / "calls")
        command = [program, "--dir", str(folder / "calls"), "-q", "--format", "json",
                   "--set", f"paths.state_dir={folder / 'state'}", "--set", f"paths.models_dir={models}",
                   "--set", f"lake.url={folder / 'lake'}", "--set", f"stt.model={model}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        threads, peaks = {}, {}
        while True:
            ended, _, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            threads.update(threads_cpu(process.pid, peaks))
            time.sleep(0.1)
        summary = json.loads(process.stdout.read())
        by_name = collections.Counter()
        for name, seconds in threads.values():
            by_name[name] += seconds
        return summary, by_name, usage, sum(peaks.values())


def main():
    program, models, model, *files = sys.argv[1:]
    for file in files:
        summary, by_name, usage, peak = run(program, models, model, file)
        cpu = usage.ru_utime + usage.ru_stime
        speech = sum(seconds for name, seconds in by_name.items() if name.startswith("stt"))
        others = {name: round(seconds, 2) for name, seconds in by_name.items() if not name.startswith("stt")}
        print(f"{pathlib.Path(file).name}: {summary['audio_seconds']:.0f} s of audio, {cpu:.1f} CPU s "
              f"({summary['audio_seconds'] / cpu:.1f} audio seconds per CPU second), "
              f"outside the speech-to-text threads {100 * (cpu - speech) / cpu:.1f} % {others}, "
              f"peak memory {peak / 1024:.0f} MiB, wall {summary['elapsed_seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    main()
