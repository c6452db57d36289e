"""faster-whisper on the same windows as `cargo bench --bench native`: greedy, int8, one thread, sequential.

python benches/faster_whisper.py MODEL_FOLDER AUDIO...   (MODEL_FOLDER: CTranslate2 files, as `make eval` leaves them)
"""

import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import faster_whisper  # noqa: E402  (it reads the variable when it is loaded)

WINDOW = 28 * 16_000


def main():
    model = faster_whisper.WhisperModel(sys.argv[1], device="cpu", compute_type="int8", cpu_threads=1)
    audio, tokens = [faster_whisper.decode_audio(path) for path in sys.argv[2:]], 0
    began = time.process_time()
    for samples in audio:
        for start in range(0, len(samples), WINDOW):
            segments, _info = model.transcribe(
                samples[start : start + WINDOW], language="en", beam_size=1, temperature=[0.0],
                condition_on_previous_text=False, vad_filter=False,
            )  # fmt: skip
            tokens += sum(len(segment.tokens) for segment in segments)
    cpu, seconds = time.process_time() - began, sum(map(len, audio)) / 16_000
    print(
        f"faster-whisper {faster_whisper.__version__}, int8: {cpu:.2f} CPU s, {seconds / cpu:.1f} audio seconds per CPU "
        f"second, {tokens} tokens"
    )


main()
