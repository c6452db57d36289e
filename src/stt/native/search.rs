//! The text of what was heard: one candidate that always takes the likeliest token or draws one, or several at once of
//! which the likeliest counts.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::conductor::Speaker;
use super::decoder::{Line, Outlook, Past, Sound};
use super::rules::{log_probabilities, or_an_earlier_end};
use super::spectrogram::{FRAMES, FRAMES_PER_POSITION};
use super::{Model, Token};
use crate::stt::EngineError;

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Strategy {
    Likeliest,
    /// So many candidates at once.
    Beam(usize),
    /// Drawn, at this temperature above zero.
    Drawn(f32),
}

/// What a search begins with.
pub(super) struct Opening {
    pub(super) sound: Arc<Sound>,
    /// What was taken in already, and what may follow it.
    pub(super) past: Past,
    pub(super) outlook: Outlook,
    /// Frames until the window ends.
    pub(super) frames: usize,
    /// Whether it is to be known where each token was heard.
    pub(super) listening: bool,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Times among them, without the end.
    pub(super) tokens: Vec<Token>,
    /// Where to go on: frames behind the beginning.
    pub(super) advance: usize,
}

/// What lies this near to the window's end, in frames, is not worth another look: 100 ms.
pub(super) const LEAST_FRAMES: usize = 10;
/// Tokens around a text that say what it is.
pub(super) const RESERVED: usize = 4;
/// A text of more tokens than this repeats itself when the last so many of them hold little news.
const REPETITION_TOKENS: usize = 32;
/// The least entropy of those, in nats (whisper.cpp's default).
const LEAST_ENTROPY: f32 = 2.4;
/// The seed of everything that is drawn: the same window always gets the same text.
const SEED: u64 = 0x7472_616e_7363_7269;

/// Searches until every candidate has ended. `keep_on` is asked after each token.
///
/// A candidate ends, as whisper.cpp has it, with the token of the end, with a time near the window's end, or when it fills
/// the context; only what stands before its last time counts then, and what lies behind that time is to be heard again.
///
/// # Errors
/// [`EngineError::Cancelled`] as soon as `keep_on` says no; [`EngineError::NotFinite`] where nothing may be said at all.
pub(super) fn search(
    model: &Model,
    speaker: &Speaker<'_>,
    opening: Opening,
    strategy: Strategy,
    keep_on: impl Fn() -> bool,
) -> Result<Found, EngineError> {
    let Opening { sound, past, outlook, frames, listening } = opening;
    let width = if let Strategy::Beam(width) = strategy { width.max(1) } else { 1 };
    let mut random = StdRng::seed_from_u64(SEED);
    let longest = model.weights.shape.text_context / 2 - RESERVED;
    let mut going = vec![Candidate::new(past, outlook)];
    let mut ended: Vec<Candidate> = Vec::new();
    for length in 1..=longest {
        let mut choices: Vec<Choice> = Vec::new();
        for (parent, candidate) in going.iter_mut().enumerate() {
            let mut logits = std::mem::take(&mut candidate.outlook.logits);
            if let Strategy::Drawn(temperature) = strategy {
                logits.iter_mut().for_each(|logit| *logit /= temperature);
            }
            let likely = log_probabilities(&model.vocabulary, logits, &candidate.tokens);
            let ids = match strategy {
                Strategy::Drawn(_) => vec![draw(&likely, &mut random)],
                Strategy::Beam(_) => highest(&likely, width),
                Strategy::Likeliest => {
                    let mut ids = highest(&likely, 1);
                    for id in &mut ids {
                        let likeliest = std::mem::replace(
                            id,
                            or_an_earlier_end(&model.vocabulary, &likely, &candidate.tokens, *id),
                        );
                        candidate.ends_early = *id != likeliest;
                    }
                    ids
                }
            };
            let sum = candidate.sum;
            choices.extend(ids.into_iter().map(|id| Choice {
                parent,
                id,
                log_probability: likely[id],
                sum: sum + likely[id],
            }));
        }
        choices.sort_by(|one, other| other.sum.total_cmp(&one.sum));
        choices.truncate(width - ended.len());
        let mut next = grown(going, &choices);
        for candidate in &mut next {
            candidate.judge(model, frames, length == longest);
        }
        let (over, on): (Vec<_>, Vec<_>) = next.into_iter().partition(|candidate| candidate.end.is_some());
        ended.extend(over);
        going = on;
        if going.is_empty() || length == longest {
            break;
        }
        if !keep_on() {
            return Err(EngineError::Cancelled);
        }
        let line = |candidate: &mut Candidate| Line {
            sound: Arc::clone(&sound),
            past: std::mem::take(&mut candidate.past),
            tokens: candidate.tokens.last().map(|token| token.id).into_iter().collect(),
            listening,
        };
        let taken = speaker.step(going.iter_mut().map(line).collect())?;
        for (candidate, (line, outlook)) in going.iter_mut().zip(taken) {
            (candidate.past, candidate.outlook) = (line.past, outlook);
        }
    }
    ended.extend(going);
    let judged = ended.into_iter().map(Candidate::trimmed).map(|candidate| {
        let (is_sound, mean) = (candidate.is_sound(width > 1), candidate.mean());
        (is_sound, mean, candidate)
    });
    // Of several that are alike the first counts, which is the last one here.
    let best = judged.rev().max_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
    let found = best.map(|(_, _, candidate)| {
        let is_left_open = !candidate.ends_early
            && matches!(candidate.tokens.as_slice(), [.., before, last]
            if before.id < model.vocabulary.first_time && last.id > model.vocabulary.first_time);
        // After a lone time nobody speaks any more, unless it was one in doubt.
        let advance = if is_left_open { frames.min(FRAMES) } else { candidate.advance };
        Found { advance, tokens: candidate.tokens }
    });
    // Where nothing may follow, not even the end, the model gave numbers that are none.
    found.ok_or(EngineError::NotFinite)
}

/// A candidate and what it may go on with.
struct Choice {
    parent: usize,
    id: usize,
    log_probability: f32,
    sum: f32,
}

/// How a candidate ended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Done,
    /// It lost its way.
    Failed,
}

#[derive(Debug, Clone)]
struct Candidate {
    past: Past,
    outlook: Outlook,
    tokens: Vec<Token>,
    /// Of the log probabilities.
    sum: f32,
    /// Tokens that count: those up to the last time.
    counted: usize,
    /// Where the last time stands, in frames; all of them where there is none.
    advance: usize,
    /// The last token is a time that was taken because the model does not know.
    ends_early: bool,
    end: Option<End>,
}

impl Candidate {
    const fn new(past: Past, outlook: Outlook) -> Self {
        Self { past, outlook, tokens: Vec::new(), sum: 0.0, counted: 0, advance: FRAMES, ends_early: false, end: None }
    }

    /// Looks at the last token: whether more counts now, and whether the text ends. `frames` = until the window ends.
    fn judge(&mut self, model: &Model, frames: usize, is_full: bool) {
        let Some(last) = self.tokens.last() else { return };
        let (id, first_time) = (last.id, model.vocabulary.first_time);
        if id > first_time {
            let advance = FRAMES_PER_POSITION * (id - first_time);
            self.advance = advance;
            self.counted = self.tokens.len();
        }
        let is_near_the_end = self.advance + LEAST_FRAMES >= frames;
        if id == model.vocabulary.end || (self.counted > 0 && is_near_the_end) {
            if id == model.vocabulary.end {
                self.tokens.pop();
            }
            let is_without_time = self.counted == 0;
            if is_without_time {
                self.counted = self.tokens.len();
            }
            self.end = Some(if is_without_time && !is_near_the_end { End::Failed } else { End::Done });
        } else if is_full && (self.counted == 0 || self.advance < FRAMES / 2) {
            self.counted = if self.counted == 0 { self.tokens.len() } else { self.counted };
            self.end = Some(End::Failed);
        }
    }

    /// Only what counts of it.
    fn trimmed(mut self) -> Self {
        self.tokens.truncate(self.counted);
        self
    }

    fn mean(&self) -> f32 {
        self.tokens.iter().map(|token| token.log_probability).sum::<f32>() / self.tokens.len().max(1) as f32
    }

    /// Whether it kept its way and, where that is asked, does not repeat itself.
    fn is_sound(&self, must_be_new: bool) -> bool {
        let repeats = || self.tokens.len() > REPETITION_TOKENS && entropy(&self.tokens) < LEAST_ENTROPY;
        self.end != Some(End::Failed) && !(must_be_new && repeats())
    }
}

/// Each choice as a candidate. The last choice of a parent takes its memory over, others copy it.
fn grown(parents: Vec<Candidate>, choices: &[Choice]) -> Vec<Candidate> {
    let mut parents: Vec<Option<Candidate>> = parents.into_iter().map(Some).collect();
    let grow = |(at, choice): (usize, &Choice)| {
        let is_last = choices[at + 1..].iter().all(|other| other.parent != choice.parent);
        let parent = &mut parents[choice.parent];
        let mut candidate = if is_last { parent.take() } else { parent.clone() }?;
        let Choice { id, log_probability, sum, .. } = *choice;
        candidate.tokens.push(Token { id, log_probability, attention: candidate.outlook.attention.clone() });
        candidate.sum = sum;
        Some(candidate)
    };
    choices.iter().enumerate().filter_map(grow).collect()
}

/// The tokens with the highest numbers, the highest first.
fn highest(likely: &[f32], count: usize) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::with_capacity(count + 1);
    for (id, number) in likely.iter().enumerate() {
        if *number > f32::NEG_INFINITY
            && (found.len() < count || found.last().is_some_and(|last| *number > likely[*last]))
        {
            let place = found.partition_point(|other| likely[*other] >= *number);
            found.insert(place, id);
            found.truncate(count);
        }
    }
    found
}

/// A token by chance, the likely ones more often.
fn draw(likely: &[f32], random: &mut StdRng) -> usize {
    let total: f32 = likely.iter().map(|number| number.exp()).sum();
    let mut left = random.random::<f32>() * total;
    let mut last = 0;
    for (id, number) in likely.iter().enumerate().filter(|(_, number)| **number > f32::NEG_INFINITY) {
        last = id;
        left -= number.exp();
        if left < 0.0 {
            break;
        }
    }
    last
}

/// How much news is in the last tokens, in nats.
fn entropy(tokens: &[Token]) -> f32 {
    let last = &tokens[tokens.len().saturating_sub(REPETITION_TOKENS)..];
    let mut ids: Vec<usize> = last.iter().map(|token| token.id).collect();
    ids.sort_unstable();
    let share = |run: &[usize]| run.len() as f32 / last.len() as f32;
    ids.chunk_by(|one, other| one == other).map(|run| -share(run) * share(run).ln()).sum()
}
