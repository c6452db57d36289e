"""What an engine made of one file, whichever engine it was. Times are seconds from the start of the file."""

from dataclasses import asdict, dataclass, field


@dataclass
class Span:
    """A stretch of text: a segment, or one word."""

    start: float
    end: float
    text: str
    channel: str = "mono"
    # Why the text does not count; None when it does.
    suppressed: str | None = None
    # How sure the engine was of a word; None where it does not tell.
    probability: float | None = None

    @property
    def middle(self):
        return (self.start + self.end) / 2


@dataclass
class Heard:
    """A transcript. `words` hold unsuppressed words only; `cpu_s` is None where items were not measured one by one."""

    status: str = "done"
    reason: str | None = None
    language: str | None = None
    language_prob: float | None = None
    audio_s: float | None = None
    cpu_s: float | None = None
    segments: list[Span] = field(default_factory=list)
    words: list[Span] = field(default_factory=list)
    # Windows that were decoded, and segments whose text is not of the first pass; None where the engine does not tell.
    windows: int | None = None
    retried: int | None = None
    review_reasons: str | None = None

    def spoken(self, channel=None):
        """The segments that count, of all channels or of one, in order of time."""
        kept = [span for span in self.segments if span.text and not span.suppressed]
        if channel is not None:
            kept = [span for span in kept if span.channel == channel]
        return sorted(kept, key=lambda span: (span.start, span.end))

    def text(self, channel=None):
        return " ".join(span.text.strip() for span in self.spoken(channel))

    def suppressed_text(self):
        return " ".join(span.text.strip() for span in self.segments if span.text and span.suppressed)

    def timed_words(self):
        """The words with their times; without such times each word gets its share of its segment."""
        return self.words or [word for span in self.spoken() for word in spread(span)]

    def to_json(self):
        return asdict(self)

    @classmethod
    def from_json(cls, stored):
        spans = {name: [Span(**span) for span in stored[name]] for name in ("segments", "words")}
        return cls(**{**stored, **spans})


def spread(span):
    """The words of a segment, evenly over its length."""
    words = span.text.split()
    step = (span.end - span.start) / max(len(words), 1)
    for index, word in enumerate(words):
        start = span.start + index * step
        yield Span(start, start + step, word, span.channel)
