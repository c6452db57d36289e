"""Delivers to the webhook of a running service the event that a telephone rings: ring.py ADDRESS SECRET CALLER."""

import hashlib
import hmac
import json
import sys
import time
import urllib.request


def main(address, secret, caller):
    now = time.time()
    party = {"caller": {"phone_number": caller, "name": "Ann Caller"},
             "callee": {"phone_number": "811", "extension_number": 811}}
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    told = {"call_id": str(int(now * 1_000)), "ringing_start_time": began}
    event = {"event": "phone.callee_ringing", "event_ts": int(now * 1_000),
             "payload": {"account_id": "docs", "object": {**told, **party}}}
    body, stamp = json.dumps(event).encode(), str(int(now))
    signature = "v0=" + hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"x-zm-request-timestamp": stamp, "x-zm-signature": signature, "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"http://{address}/webhooks/zoom", body, headers)) as answer:
        assert answer.status == 200, answer.status


if __name__ == "__main__":
    main(*sys.argv[1:])
