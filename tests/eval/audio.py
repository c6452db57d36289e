"""Sound as the evaluation needs it: decoded to 16 kHz, written as WAV, levels of frames, where a voice begins."""

import io

import av
import numpy as np
import soundfile

RATE = 16_000
FRAME = RATE // 20
# A frame this far above the line noise is voice.
VOICE_ABOVE_LINE_DB = 25.0


def decode(path):
    """All samples at 16 kHz as float32 of shape (n, channels), one or two channels."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        channels = min(stream.channels, 2)
        resampler = av.AudioResampler(format="flt", layout="stereo" if channels == 2 else "mono", rate=RATE)
        pieces = []
        for frame in container.decode(stream):
            pieces += [piece.to_ndarray().reshape(-1) for piece in resampler.resample(frame)]
        pieces += [piece.to_ndarray().reshape(-1) for piece in resampler.resample(None)]
    return np.concatenate(pieces).reshape(-1, channels)


def mono(path):
    """All samples at 16 kHz, channels folded, as float32."""
    return decode(path).mean(axis=1).astype(np.float32)


def write(path, sound):
    """Writes 16-bit WAV at 16 kHz; the same samples give the same bytes, and a file that holds them stays as it is: its
    time of change is when the call began."""
    wave = io.BytesIO()
    soundfile.write(wave, np.clip(sound, -1, 1), RATE, subtype="PCM_16", format="WAV")
    if not path.exists() or path.read_bytes() != wave.getvalue():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wave.getvalue())


def frame_levels(sound):
    """The level of each whole 50 ms frame in dB of full scale."""
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    return 10 * np.log10((frames**2).mean(axis=1) + 1e-12)


def onsets(sound, spans):
    """Where the voice begins in each (start, end): the first frame more than 25 dB above the line noise, in seconds, or
    None. The line noise is the median level of the frames that lie wholly outside all spans."""
    levels = frame_levels(sound)
    starts = np.arange(len(levels)) * FRAME / RATE
    ends = starts + FRAME / RATE
    outside = np.ones(len(levels), dtype=bool)
    for start, end in spans:
        outside &= (ends <= start) | (starts >= end)
    if not outside.any():
        raise ValueError("there is no line noise outside the speech to compare with")
    loud = levels > np.median(levels[outside]) + VOICE_ABOVE_LINE_DB
    found = []
    for start, end in spans:
        hits = np.flatnonzero(loud & (ends > start) & (starts < end))
        found.append(float(starts[hits[0]]) if len(hits) else None)
    return found


def pink_noise(seconds, level_db, seed):
    """Noise whose power falls with frequency, at a level in dB of full scale: an open line."""
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, count)
    return (noise * 10 ** (level_db / 20) / np.sqrt(np.mean(noise**2))).astype(np.float32)
