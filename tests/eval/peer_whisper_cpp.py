"""whisper.cpp with the defaults of its own program (beam 5, no voice-activity filter, temperature fallback, text
carried from window to window), through the library inside the wheel `pywhispercpp`. It has no list of languages: it
takes the most probable of all."""

import importlib.util
import re
from pathlib import Path

from . import audio, weights
from .heard import Heard, Span

NAME = "whisper.cpp"


def version():
    """The version of the library inside the wheel, as its file name tells it."""
    root = Path(importlib.util.find_spec("pywhispercpp").origin).parent.parent
    for library in sorted((root / "pywhispercpp.libs").glob("libwhisper*.so.*")):
        found = re.search(r"\.so\.(\d+\.\d+\.\d+)$", library.name)
        if found:
            return found.group(1)
    return "unknown"


class Peer:
    """The model, loaded once for each process."""

    def __init__(self, options):
        from pywhispercpp.model import Model

        self.options = options
        self.model = Model(
            str(weights.ggml(options.models, options.model)), params_sampling_strategy=1,
            redirect_whispercpp_logs_to=None, n_threads=options.threads, print_progress=False, no_context=False,
            beam_search={"beam_size": 5, "patience": -1.0},
        )  # fmt: skip

    def hear(self, path, language, with_words):
        """Transcribes a file, folded to one channel. It gives no words with times: `with_words` is ignored."""
        import _pywhispercpp as library
        from pywhispercpp.utils import redirect_stderr

        only_english = self.options.model.endswith(".en")
        wanted = "en" if only_english else language or "auto"
        with redirect_stderr(to=None):
            segments = self.model.transcribe(audio.mono(path), language=wanted)
        heard = Heard(language=library.whisper_lang_str(library.whisper_full_lang_id(self.model._ctx)))
        heard.segments = [Span(segment.t0 / 100, segment.t1 / 100, segment.text.strip()) for segment in segments]
        return heard
