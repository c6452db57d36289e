"""A folder like a clone's, with a server that speaks Zoom, in which the steps of one document are executed in order.

One shell executes them all, so that what a step exports, starts or changes into holds for the next ones, as for a
reader.
"""

import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from . import exceptions
from .blocks import PROJECT

CACHE = PROJECT / ".cache"
BUILT = PROJECT / "target" / "debug"
HERE = Path(__file__).parent
# A document takes half a minute at most; on a busy machine several times that.
LONGEST_S = 240
SECRET = "docs-secret"

# The recordings that the server lists: which voice says them, and what Zoom's listing has of them.
RECORDINGS = {
    "en_hello_world": {"id": exceptions.FIRST, "call_id": "7000168953490363001", "caller_name": "Ann Caller",
                       "caller_number": exceptions.CALLER, "hours_ago": 2, "duration": 1},
    "en_quick_brown_fox": {"id": exceptions.SECOND, "call_id": "7000168953490363002", "caller_name": "Noah Turner",
                           "caller_number": "+442079460321", "hours_ago": 30, "duration": 3},
    "en_counting": {"id": "2" * 32, "call_id": exceptions.CALL, "caller_name": "Oliver Reed",
                    "caller_number": "+442079460322", "hours_ago": 54, "duration": 3},
}  # fmt: skip
# The quick start queries a Japanese one as well, which the small English model does not hear.
QUICK_START = {"en_hello_world": RECORDINGS["en_hello_world"],
               "ja_konnichiwa_sekai": {"id": "3" * 32, "hours_ago": 4, "duration": 2}}  # fmt: skip

FUNCTIONS = """
working() {  # starts a worker on a machine of its own, likewise
    mkdir elsewhere
    (cd elsewhere && TRANSCRIBE__TELEMETRY__METRICS_LISTEN="$OTHER_OPS" exec "$@") &
    until curl -fs "http://$OTHER_OPS/readyz"; do kill -0 $! || return 1; sleep 0.1; done
}
serving() {  # starts a service in the background and returns when it can do its work
    "$@" &
    until curl -fs "http://$OPS/readyz"; do kill -0 $! || return 1; sleep 0.1; done
}
ringing() {  # lets telephones ring until the command tells of one
    "$@" > heard.txt &
    until grep -q "$CALLER" heard.txt; do kill -0 $! || return 1; "$PYTHON" "$RING" "$WEBHOOK" "$SECRET" "$CALLER"; done
    kill $!
    cat heard.txt
}
one_core() {  # measures with one division of the cores
    taskset -c "$ONE_CORE" "$@"
}
"""


@dataclass
class Outcome:
    """What became of a step: its exit code, None when it was never reached, and all that was printed."""

    code: int | None
    output: str


class Session:
    """One document's folder, server and shell. A context manager: nothing of it is left behind."""

    def __init__(self, recordings=None, model="tiny.en", fleet=False):
        self.recordings, self.model, self.fleet = recordings or RECORDINGS, model, fleet
        self.ops, self.webhook = free_address(), free_address()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            # The folder outlives the server and the shell.
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="transcribe-docs-")))
            self.lay_out()
            stack.callback(kill_group, server := self.serve())
            self.environment |= announced(server)
            if self.fleet:
                stack.callback(kill_group, self.message_server())
            self.write_secrets()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def lay_out(self):
        """What a clone has after `make models fixtures`, few recordings, and what a reader has of their own."""
        for path in ("target", ".venv", "tests"):
            (self.folder / path).symlink_to(PROJECT / path)
        speech, models = self.folder / ".cache" / "fixtures" / "speech", self.folder / ".cache" / "models"
        for folder in (speech, models, self.folder / "bin", self.folder / "calls"):
            folder.mkdir(parents=True)
        for stem, listed in self.recordings.items():
            shutil.copy(needed(CACHE / "fixtures" / "speech" / f"{stem}.mp3"), speech)
            (speech / f"{stem}.json").write_text(json.dumps(listed))
        (models / f"{self.model}.bin").symlink_to(needed(CACHE / "models" / f"{self.model}.bin"))
        call = CACHE / "fixtures" / "speech" / "en_hello_world.mp3"
        for path in ("call.mp3", "calls/call.mp3"):
            (self.folder / path).symlink_to(call)
        self.program("duckdb", f'exec {sys.executable} {HERE / "duckdb_shell.py"} "$@"')
        # The browser of a person who agrees at once.
        self.program("xdg-open", 'exec curl -fsSL -o /dev/null "$1"')
        built = [needed(BUILT / "transcribe").parent, needed(BUILT / "examples" / "zoom_server").parent]
        path = os.pathsep.join([str(self.folder / "bin"), *map(str, built), os.environ["PATH"]])
        settings = {
            "paths.models_dir": models, "stt.model": self.model, "stt.temperatures": "[0.0]", "stt.beam_size": "1",
            "telemetry.metrics_listen": self.ops, "trigger.webhook.listen": self.webhook,
        }  # fmt: skip
        self.environment = {
            "PATH": path, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET,
            # For the functions of the shell, and for what is executed in the place of a command.
            "OPS": self.ops, "OTHER_OPS": free_address(), "WEBHOOK": self.webhook, "SECRET": SECRET,
            "CALLER": exceptions.CALLER, "PYTHON": sys.executable, "RING": str(HERE / "ring.py"),
            "WHEELS": str(CACHE / "wheels"), "ONE_CORE": str(min(os.sched_getaffinity(0))),
        }  # fmt: skip
        for key, value in settings.items():
            self.environment[f"TRANSCRIBE__{key.upper().replace('.', '__')}"] = str(value)

    def program(self, name, command):
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{command}\n")
        path.chmod(0o755)

    def serve(self):
        command = [BUILT / "examples" / "zoom_server", "--recordings", self.folder / ".cache" / "fixtures" / "speech"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def message_server(self):
        """What stands between the machines of a fleet; ready when this returns."""
        address, health = free_address(), free_address()
        port, health_port = (each.rpartition(":")[2] for each in (address, health))
        command = [needed(PROJECT / ".venv" / "bin" / "nats-server"), "-a", "127.0.0.1", "-p", port, "-m", health_port,
                   "-js", "-sd", self.folder / "js", "-l", self.folder / "nats.log"]  # fmt: skip
        server = subprocess.Popen(command, start_new_session=True)
        while not answers(f"http://{health}/healthz"):
            if server.poll() is not None:
                raise SystemExit((self.folder / "nats.log").read_text())
            time.sleep(0.02)
        self.environment |= {
            "TRANSCRIBE__QUEUE__URL": f"nats://{address}/docs", "TRANSCRIBE__LAKE__URL": str(self.folder / "lake"),
        }  # fmt: skip
        return server

    def write_secrets(self):
        """What a line of cron reads: cron itself passes on almost nothing of an environment."""
        ours = {name: value for name, value in self.environment.items() if name.startswith(("ZOOM_", "TRANSCRIBE__"))}
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in ours.items()]
        (self.folder / "secrets.env").write_text("".join(lines))

    def execute(self, steps):
        """Executes the steps; an outcome for each, None for one that is not executed."""
        script = [FUNCTIONS]
        texts = [exceptions.executed(step, self.folder, self.ops) for step in steps]
        for number, (step, text) in enumerate(zip(steps, texts)):
            if text is None:
                continue
            if step.language == "cron":
                path = self.environment["PATH"]
                text = f"env -i HOME={self.folder} PATH={shlex.quote(path)} sh -c {shlex.quote(text)}"
            elif step.language == "sql":
                text = f"duckdb $(ls lake/views.sql 2>/dev/null | sed 's/^/-init /') <<'END'\n{text}\nEND"
            script.append(f"exec > {self.output(number)} 2>&1\n{text}\necho $? > {self.code(number)}\n")
        (self.folder / "steps.sh").write_text("\n".join(script))
        shell = subprocess.Popen(
            ["bash", "-o", "pipefail", self.folder / "steps.sh"], cwd=self.folder, env=self.environment,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            shell.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            pass  # The steps that were not reached say so.
        finally:
            kill_group(shell)
        return [None if text is None else self.outcome(number) for number, text in enumerate(texts)]

    def outcome(self, number):
        code, output = self.code(number), self.output(number)
        return Outcome(
            int(code.read_text()) if code.exists() else None,
            output.read_text(errors="replace") if output.exists() else "",
        )

    def output(self, number):
        return self.folder / f"step{number}.out"

    def code(self, number):
        return self.folder / f"step{number}.code"


def needed(path):
    if not path.exists():
        raise SystemExit(f"{path.relative_to(PROJECT)} is missing: run `make build models fixtures` first")
    return path


def free_address():
    """An address that nobody listens on, below the ports that the system gives to connections."""
    while True:
        port = random.randrange(22_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def announced(server):
    """The environment that points the program at the server, as it prints it when it is ready."""
    server.stdout.readline()
    lines = [server.stdout.readline().rstrip("\n") for _ in range(6)]
    return dict(line.split("=", 1) for line in lines)


def kill_group(process):
    """Ends a process and all that it started: services in time to give back what they hold."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        until = time.monotonic() + patience
        while time.monotonic() < until and group_lives(process):
            time.sleep(0.02)
    process.wait()
    if process.stdout:
        process.stdout.close()


def group_lives(process):
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
