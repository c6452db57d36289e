"""Whether an item ended as it should: accepted, rejected with a reason, and of the right length."""

LENGTH_TOLERANCE_S = 0.05
# An MP3 without an Info tag does not say how much its encoder added at the start (529 + 576 samples) and the end (at
# most a frame of 1,152): it may come out so much longer, never shorter.
MP3_PADDING_SAMPLES = 529 + 576 + 1152


def problem(item, heard):
    """What is wrong with how an item ended, or None."""
    has_row = heard.audio_s is not None
    if heard.status not in ("done", "failed", "skipped"):
        return f"ended as {heard.status}"
    if item.outcome == "reject" and (heard.status == "done" or has_row):
        return f"had to be rejected, but is {heard.status}"
    if item.outcome in ("accept", "accept_partial") and not has_row:
        return f"had to be accepted, but is {heard.status} ({heard.reason})"
    if heard.status == "failed" and not heard.reason:
        return "was rejected without a reason"
    if item.outcome == "accept" and item.duration_s is not None:
        padding = MP3_PADDING_SAMPLES / item.sample_rate if item.codec == "mp3" else 0
        if not -LENGTH_TOLERANCE_S <= heard.audio_s - item.duration_s <= LENGTH_TOLERANCE_S + padding:
            return f"is {heard.audio_s:.3f} s long instead of {item.duration_s:.3f} s"
    return None
