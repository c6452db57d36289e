//! Progress bars on a terminal: one for the run in audio time, one line for each recording in work.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::events::Event;
use crate::domain::RecordingId;

/// How often bars are redrawn while nothing happens, so that a long step does not look frozen.
const TICK: Duration = Duration::from_millis(200);

/// The bars of one run.
#[derive(Debug)]
pub struct Bars {
    screen: MultiProgress,
    total: ProgressBar,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_work: HashMap<RecordingId, InWork>,
    /// Audio of recordings that are finished, in milliseconds.
    finished_ms: u64,
    finished: u64,
    to_do: u64,
    /// No length was listed (a folder without metadata): the bar counts calls instead of audio.
    counts_calls: bool,
}

#[derive(Debug)]
struct InWork {
    bar: ProgressBar,
    listed_ms: Option<u64>,
    done_ms: u64,
}

impl Bars {
    /// Draws on `screen`, which log lines are printed above of.
    #[must_use]
    pub fn on(screen: &MultiProgress) -> Self {
        let total = screen.add(ProgressBar::new(0));
        total.set_style(style("{spinner} {msg}"));
        total.set_message("listing recordings");
        total.enable_steady_tick(TICK);
        Self { screen: screen.clone(), total, state: Mutex::new(State::default()) }
    }

    pub(super) fn clear(&self) {
        self.total.finish_and_clear();
        for (_, work) in self.state.lock().unwrap_or_else(PoisonError::into_inner).in_work.drain() {
            work.bar.finish_and_clear();
        }
    }

    pub(super) fn show(&self, event: Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::ListingOn { found, part, parts } => {
                let of = if parts > 1 { format!(", part {part} of {parts}") } else { String::new() };
                self.total.set_message(format!("listing recordings: {found} found{of}"));
                return;
            }
            Event::Listed { to_do, audio_s, .. } => {
                // The remaining time is that of the work, not of the listing before it.
                self.total.reset_elapsed();
                state.to_do = to_do;
                state.counts_calls = audio_s == 0;
                self.total.set_length(if state.counts_calls { to_do } else { audio_s.saturating_mul(1000) });
                self.total.set_style(style("{spinner} [{bar:28}] {msg}"));
            }
            Event::Claimed { id, duration_s, .. } => {
                let listed_ms = duration_s.and_then(|seconds| u64::try_from(seconds).ok()).map(|s| s * 1000);
                let bar = self.screen.insert_before(&self.total, ProgressBar::new(listed_ms.unwrap_or(0)));
                bar.set_style(style("  {prefix:12} {msg}"));
                bar.set_prefix(short(id));
                bar.set_message("fetching");
                bar.enable_steady_tick(TICK);
                state.in_work.insert(id.clone(), InWork { bar, listed_ms, done_ms: 0 });
            }
            Event::Fetched { id, .. } => {
                if let Some(work) = state.in_work.get(id) {
                    work.bar.set_message("decoding");
                }
            }
            Event::Progress { id, audio_ms } => {
                if let Some(work) = state.in_work.get_mut(id) {
                    work.done_ms = audio_ms;
                    let of = work.listed_ms.map_or_else(String::new, |total| format!(" of {}", clock(total)));
                    work.bar.set_message(format!("transcribing {}{of}", clock(audio_ms)));
                }
            }
            Event::Transcribed { id, audio_ms, .. } => {
                let audio_ms = u64::try_from(audio_ms).unwrap_or(0);
                if let Some(work) = state.in_work.remove(id) {
                    work.bar.finish_and_clear();
                    if work.listed_ms.is_none() && !state.counts_calls {
                        self.total.inc_length(audio_ms);
                    }
                }
                state.finished += 1;
                state.finished_ms += audio_ms;
            }
            Event::Retrying { id, .. }
            | Event::Crashed { id, .. }
            | Event::Dead { id, .. }
            | Event::ClaimLost { id, .. } => {
                if let Some(work) = state.in_work.remove(id) {
                    work.bar.finish_and_clear();
                }
                if matches!(event, Event::Dead { .. }) {
                    state.finished += 1;
                }
            }
            Event::WaitingForRetries { wait, .. } => {
                self.total.set_message(format!("waiting {} for the next retry", clock_of(wait)));
                return;
            }
            _ => return,
        }
        self.redraw(&state);
    }

    fn redraw(&self, state: &State) {
        let in_work: u64 = state.in_work.values().map(|work| work.done_ms).sum();
        let done_ms = state.finished_ms + in_work;
        let elapsed = self.total.elapsed().as_secs_f64();
        let speed = seconds(done_ms) / elapsed.max(0.001);
        let (position, length, audio) = if state.counts_calls {
            (state.finished, state.to_do, clock(done_ms))
        } else {
            let length = self.total.length().unwrap_or(0).max(done_ms);
            (done_ms, length, format!("{} of {}", clock(done_ms), clock(length)))
        };
        self.total.set_length(length);
        self.total.set_position(position);
        let left = elapsed * seconds(length.saturating_sub(position)) / seconds(position).max(0.001);
        let left = if position == 0 { "-".to_owned() } else { clock_of(Duration::from_secs_f64(left.min(1e7))) };
        self.total.set_message(format!(
            "{}/{} calls · {audio} audio · {speed:.1}× real time · {left} left",
            state.finished, state.to_do
        ));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_template| ProgressStyle::default_bar())
}

fn short(id: &RecordingId) -> String {
    let text = id.as_str();
    let text = text.strip_prefix("file-").unwrap_or(text);
    text.chars().take(10).collect()
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of audio stay far below 2^52")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

fn clock(millis: u64) -> String {
    clock_of(Duration::from_millis(millis))
}

/// `1:02:03`, or `02:03` below an hour.
fn clock_of(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:02}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::{InMemoryTerm, ProgressDrawTarget};

    fn drawn(events: &[Event<'_>]) -> String {
        let terminal = InMemoryTerm::new(10, 120);
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        let bars = Bars::on(&screen);
        for event in events {
            bars.show(*event);
        }
        bars.total.tick();
        terminal.contents()
    }

    #[test]
    fn the_run_is_shown_in_calls_and_audio_time() {
        let id = RecordingId::parse("0f3a5c7e9b1d4f6a8c0e2d4b6f8a1c3e").unwrap();
        let listed = Event::Listed { found: 3, done_before: 1, to_do: 2, audio_s: 240 };
        let claimed = Event::Claimed { id: &id, attempt: 1, duration_s: Some(120) };
        let progress = Event::Progress { id: &id, audio_ms: 60_000 };
        let screen = drawn(&[listed, claimed, progress]);
        assert!(screen.contains("transcribing 01:00 of 02:00"), "{screen}");
        assert!(screen.contains("0/2 calls · 01:00 of 04:00 audio"), "{screen}");
        let elapsed = Duration::from_secs(5);
        let done = Event::Transcribed { id: &id, audio_ms: 120_000, segments: 4, elapsed };
        let screen = drawn(&[listed, claimed, progress, done]);
        assert!(screen.contains("1/2 calls · 02:00 of 04:00 audio"), "{screen}");
        assert!(!screen.contains("transcribing"), "{screen}");
    }

    #[test]
    fn a_long_listing_shows_how_far_it_is() {
        let screen = drawn(&[Event::ListingOn { found: 1_200, part: 3, parts: 33 }]);
        assert!(screen.contains("listing recordings: 1200 found, part 3 of 33"), "{screen}");
    }

    #[test]
    fn without_listed_lengths_the_calls_are_counted() {
        let ids = ["aa", "bb"].map(|id| RecordingId::parse(id).unwrap());
        let listed = Event::Listed { found: 2, done_before: 0, to_do: 2, audio_s: 0 };
        let claimed = |id| Event::Claimed { id, attempt: 1, duration_s: None };
        let elapsed = Duration::from_secs(5);
        let done = Event::Transcribed { id: &ids[0], audio_ms: 90_000, segments: 4, elapsed };
        let screen = drawn(&[listed, claimed(&ids[0])]);
        assert!(screen.contains("0/2 calls") && screen.contains("- left"), "{screen}");
        let screen = drawn(&[listed, claimed(&ids[0]), claimed(&ids[1]), done]);
        assert!(screen.contains("1/2 calls · 01:30 audio"), "{screen}");
    }
}
