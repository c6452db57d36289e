"""Executes the commands of the README's quick start, and nothing else: python3 -m tests.docs.quick_start [--keep]

For a clean clone, of which it builds everything: a quarter of an hour on two cores. The commands end with a service
that runs against the local server and with a query's result; then the service is asked whether it can do its work. It
is stopped, with all that the commands started, unless --keep is given.
"""

import os
import signal
import subprocess
import sys
import urllib.request

from .blocks import PROJECT, commands, section

READY = "http://127.0.0.1:9464/readyz"
LONGEST_S = 3_600


def script():
    """The commands as one script of bash that says each before it is executed and stops at the first that fails."""
    blocks = [block for block in section(PROJECT / "README.md", "Quick start") if block.language == "sh"]
    texts = [text for block in blocks for _, text in commands(block)]
    return "\n".join(f"cat <<'END'\n$ {text}\nEND\n{text}" for text in texts)


def main(*options):
    if set(options) - {"--keep"}:
        sys.exit(__doc__)
    # What the reader may have set for an account of their own is not for the local server.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ZOOM_", "TRANSCRIBE__"))}
    shell = subprocess.Popen(
        ["bash", "-e", "-o", "pipefail", "-c", script()], cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    keeps = False
    try:
        if shell.wait(LONGEST_S) != 0:
            sys.exit("the quick start failed")
        with urllib.request.urlopen(READY, timeout=10) as answer:
            print(f"the service is running: {READY} says {answer.read().decode()}")
        keeps = "--keep" in options
    finally:
        if not keeps:
            try:
                os.killpg(shell.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass


if __name__ == "__main__":
    main(*sys.argv[1:])
