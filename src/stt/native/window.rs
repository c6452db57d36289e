//! A window on its way to text: heard from its beginning, then again from behind the last time that was said, until its
//! end.

use std::ops::Range;
use std::sync::Arc;

use super::conductor::{Conductor, Speaker};
use super::decoder::{Line, Outlook, Past, Sound};
use super::encoder::Workspace;
use super::search::{LEAST_FRAMES, Opening, Strategy, search};
use super::spectrogram::{FRAMES_PER_POSITION, Spectrogram};
use super::weights::Weights;
use super::{Model, Token, alignment, encoder};
use crate::stt::tokens::{RawSegment, SaidToken};
use crate::stt::{EngineError, Watch};

/// A text before the last 5 s of a window leads the decoder astray more often than it helps (whisper.cpp's rule).
const LAST_FRAMES: usize = 500;
/// So many chunks may be as short as they like; the next ones in which nothing is said are a second long at least.
const SHORT_CHUNKS: usize = 8;
/// What was heard of so many chunks is kept: of the beginning, which every attempt begins with, and of one other.
pub(super) const KEPT_CHUNKS: usize = 2;
/// A second.
const LATER_FRAMES: usize = 100;

/// What a window is decoded with.
#[derive(Debug, Clone)]
pub(super) struct Way<'a> {
    /// The tokens that say in which language to write down what is heard.
    pub(super) task: &'a [usize],
    pub(super) strategy: Strategy,
    /// Tokens of what might have been said before.
    pub(super) prompt: &'a [usize],
    /// Silence before the window, in frames of 10 ms.
    pub(super) lead: usize,
    /// Whether tokens get times of their own.
    pub(super) words: bool,
}

/// Where a chunk lies in its window, in frames: where it begins, where the next one does, and where the window ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkPlace {
    first: usize,
    next: usize,
    end: usize,
}

/// One window, and what was heard of it so far: it may be decoded several times.
pub(super) struct Hearing<'a> {
    model: &'a Model,
    samples: &'a [f32],
    conductor: &'a Conductor,
    watch: &'a Watch,
    /// Where somebody speaks, in frames from the window's start: what has no voice any more is not heard again.
    voiced: Vec<Range<usize>>,
    spectrogram: Option<(usize, Arc<Spectrogram>)>,
    /// The beginning of the window first; [`KEPT_CHUNKS`] at most, each is large.
    chunks: Vec<Chunk>,
}

/// What was heard from one frame on.
struct Chunk {
    /// Frames of silence before the window.
    lead: usize,
    first: usize,
    sound: Arc<Sound>,
    /// The text was begun, no more; and what may follow.
    past: Past,
    outlook: Outlook,
}

impl<'a> Hearing<'a> {
    /// Without `voiced` anybody may speak anywhere.
    pub(super) fn new(
        model: &'a Model,
        conductor: &'a Conductor,
        samples: &'a [f32],
        voiced: Option<Vec<Range<usize>>>,
        watch: &'a Watch,
    ) -> Self {
        let voiced = voiced.unwrap_or_else(|| std::iter::once(0..usize::MAX).collect());
        Self { model, conductor, samples, watch, voiced, spectrogram: None, chunks: Vec::new() }
    }

    /// What speaks for each token at the very beginning of the window.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`].
    pub(super) fn first_logits(&mut self) -> Result<&[f32], EngineError> {
        let index = self.listen(0, 0)?;
        Ok(&self.chunks[index].outlook.logits)
    }

    /// What the window says, times in centiseconds from its start.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`], and [`EngineError::NotFinite`] of a model that gives no numbers.
    pub(super) fn decode(&mut self, way: &Way<'_>) -> Result<Vec<RawSegment>, EngineError> {
        let (model, mut segments) = (self.model, Vec::new());
        self.each_chunk(way, |tokens, place| cut(model, tokens, place, way, &mut segments))?;
        Ok(segments)
    }

    /// Hands what is said to `keep`, chunk by chunk.
    ///
    /// # Errors
    /// As [`Hearing::decode`].
    pub(super) fn each_chunk(
        &mut self,
        way: &Way<'_>,
        mut keep: impl FnMut(&[Token], ChunkPlace),
    ) -> Result<(), EngineError> {
        let end = self.spectrogram(way.lead).frames();
        // Half of the context is for what came before.
        let most_before = self.model.weights.shape.text_context / 2;
        let last = |tokens: &[usize]| tokens[tokens.len().saturating_sub(most_before)..].to_vec();
        let mut before = last(way.prompt);
        let mut first = 0_usize;
        for number in 0.. {
            let has_voice = || {
                let (first, end) = (first.saturating_sub(way.lead), end.saturating_sub(way.lead));
                self.voice_between(first, end) > LEAST_FRAMES
            };
            if first + LEAST_FRAMES >= end || (first > 0 && !has_voice()) {
                break;
            }
            if first > 0 && first + LAST_FRAMES >= end {
                before.clear();
            }
            let index = self.listen(way.lead, first)?;
            let speaker = self.conductor.speaker(self.model, self.watch);
            let opening = self.open(&speaker, index, end - first, way, &before)?;
            let found = search(self.model, &speaker, opening, way.strategy, || !self.watch.is_cancelled())?;
            drop(speaker);
            keep(&found.tokens, ChunkPlace { first, next: first + found.advance, end });
            if !way.prompt.is_empty() {
                before.extend(found.tokens.iter().map(|token| token.id));
                before = last(&before);
            }
            let says_nothing = found.tokens.iter().all(|token| token.id >= self.model.vocabulary.end);
            let is_late = number >= SHORT_CHUNKS && says_nothing;
            first += found.advance.max(if is_late { LATER_FRAMES } else { LEAST_FRAMES });
        }
        Ok(())
    }

    /// How many of these frames have a voice.
    fn voice_between(&self, first: usize, end: usize) -> usize {
        let inside = |voiced: &Range<usize>| voiced.end.min(end).saturating_sub(voiced.start.max(first));
        self.voiced.iter().map(inside).sum()
    }

    fn spectrogram(&mut self, lead: usize) -> Arc<Spectrogram> {
        if let Some((known, spectrogram)) = &self.spectrogram
            && *known == lead
        {
            return Arc::clone(spectrogram);
        }
        let spectrogram = Arc::new(self.model.spectrograph.of(lead, self.samples));
        self.spectrogram = Some((lead, Arc::clone(&spectrogram)));
        spectrogram
    }

    /// The index of the chunk that begins at this frame, which is heard unless it was.
    fn listen(&mut self, lead: usize, first: usize) -> Result<usize, EngineError> {
        if let Some(known) = self.chunks.iter().position(|chunk| (chunk.lead, chunk.first) == (lead, first)) {
            return Ok(known);
        }
        self.chunks.truncate(KEPT_CHUNKS - 1);
        let Model { weights, vocabulary, .. } = self.model;
        let spectrogram = self.spectrogram(lead);
        let team = self.conductor.team(self.model);
        let hear = |workspace: &mut Workspace, keep_on: &dyn Fn() -> bool| {
            let Weights { encoder, decoder, shape, .. } = weights;
            let frames = spectrogram.from(first);
            let (heard, room) = encoder::encode(team, encoder, *shape, &frames, workspace, keep_on)?;
            Some(Arc::new(Sound::new(team, decoder, *shape, heard, room)))
        };
        let sound = self.conductor.listen(self.watch, hear)?;
        let begun = Line {
            sound: Arc::clone(&sound),
            past: Past::new(&weights.decoder),
            tokens: vec![vocabulary.start],
            listening: true,
        };
        let (Line { past, .. }, outlook) = self.conductor.speaker(self.model, self.watch).step_alone(begun)?;
        self.chunks.push(Chunk { lead, first, sound, past, outlook });
        Ok(self.chunks.len() - 1)
    }

    /// The chunk with everything said that comes before its text.
    fn open(
        &self,
        speaker: &Speaker<'_>,
        index: usize,
        frames: usize,
        way: &Way<'_>,
        before: &[usize],
    ) -> Result<Opening, EngineError> {
        let Model { weights, vocabulary, .. } = self.model;
        let Chunk { sound, past, outlook, .. } = &self.chunks[index];
        let (mut past, mut outlook) = (past.clone(), outlook.clone());
        let mut tokens = Vec::new();
        if !before.is_empty() {
            past = Past::new(&weights.decoder);
            tokens.push(vocabulary.before);
            tokens.extend_from_slice(before);
            tokens.push(vocabulary.start);
        }
        tokens.extend_from_slice(way.task);
        if !tokens.is_empty() {
            let (line, next) =
                speaker.step_alone(Line { sound: Arc::clone(sound), past, tokens, listening: way.words })?;
            (past, outlook) = (line.past, next);
        }
        Ok(Opening { sound: Arc::clone(sound), past, outlook, frames, listening: way.words })
    }
}

/// Adds what was said between times, as segments.
fn cut(model: &Model, tokens: &[Token], place: ChunkPlace, way: &Way<'_>, segments: &mut Vec<RawSegment>) {
    let (shape, vocabulary) = (model.weights.shape, &model.vocabulary);
    let covered = place.next.min(place.end) - place.first;
    let positions = covered.div_ceil(FRAMES_PER_POSITION).clamp(1, shape.audio_context);
    let begins = way.words.then(|| alignment::begins(tokens, model.weights.alignment.len(), positions));
    let centiseconds = |frame: usize| frame as i64 - way.lead as i64;
    let begin =
        |at: usize| begins.as_ref().map_or(-1, |begins| centiseconds(place.first + begins[at] * FRAMES_PER_POSITION));
    let mut close = |start: usize, end: usize, said: &mut Vec<SaidToken>| {
        if !said.is_empty() {
            let tokens = std::mem::take(said);
            segments.push(RawSegment { start_cs: centiseconds(start), end_cs: centiseconds(end), tokens });
        }
    };
    let mut start = place.first;
    let mut said = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.id < vocabulary.end {
            let bytes = vocabulary.bytes(token.id).to_vec();
            let logprob = f64::from(token.log_probability);
            let probability = logprob.exp().clamp(0.0, 1.0);
            said.push(SaidToken { bytes, logprob, probability, start_cs: begin(at), end_cs: begin(at + 1) });
        } else if token.id >= vocabulary.first_time {
            let time = place.first + (token.id - vocabulary.first_time) * FRAMES_PER_POSITION;
            close(start, time, &mut said);
            start = time;
        }
    }
    close(start, place.next.min(place.end), &mut said);
}
