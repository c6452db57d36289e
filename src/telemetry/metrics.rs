//! Metrics in Prometheus's form: what every event of [`super::Event`] counts, and the recorder that keeps the numbers.
//!
//! Without a recorder, as in a run that is no service, counting does nothing.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::Event;

/// From a second to a day: how long the end of a call and its row are apart.
const LATENCIES_S: [f64; 12] = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];
/// Elapsed time over audio time.
const REAL_TIME_FACTORS: [f64; 10] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0];
/// How long a request takes, or waits to be sent.
const REQUESTS_S: [f64; 10] = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 3.0, 60.0];

/// A thousand events a second are some tens of kilobytes of observations until then.
const KEEP_UP_EVERY: Duration = Duration::from_secs(5);

/// Where the numbers are kept and read.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts to count. Once in a process.
    ///
    /// # Errors
    /// When something counts already.
    pub fn install() -> Result<Self, BuildError> {
        let of = |name: &str| Matcher::Full(name.to_owned());
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(of("transcribe_end_of_call_to_row_seconds"), &LATENCIES_S)?
            .set_buckets_for_metric(of("transcribe_real_time_factor"), &REAL_TIME_FACTORS)?
            .set_buckets_for_metric(Matcher::Suffix("_answer_seconds".to_owned()), &REQUESTS_S)?
            .set_buckets_for_metric(of("transcribe_rate_limit_wait_seconds"), &REQUESTS_S)?
            .install_recorder()?;
        describe();
        Ok(Self(handle))
    }

    /// Sums up what was observed since the last time, now and then and for good: observations are held one by one until
    /// then, also when nobody reads them.
    pub async fn keep_up(self) {
        let mut turn = tokio::time::interval(KEEP_UP_EVERY);
        loop {
            turn.tick().await;
            self.0.run_upkeep();
        }
    }

    /// Everything that was counted, as Prometheus reads it.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("transcribe_recordings_total", "Ends of the work on a recording, by outcome");
    describe_counter!("transcribe_failures_total", "Failures by stage and reason, those that are tried again included");
    describe_counter!("transcribe_audio_seconds_total", "Seconds of audio that were transcribed");
    describe_counter!("transcribe_published_recordings_total", "Recordings whose rows went into the lake");
    describe_counter!("transcribe_sweeps_total", "Sweeps by exit code");
    describe_histogram!("transcribe_rate_limit_wait_seconds", "How long requests waited for the rate limit");
    describe_histogram!("transcribe_real_time_factor", "Elapsed seconds for a second of audio, download included");
    describe_histogram!("transcribe_end_of_call_to_row_seconds", "From the end of a call to its row in the lake");
    describe_counter!(
        "transcribe_stt_windows_total",
        "Windows of speech that were decoded, by model (first or second)"
    );
    describe_counter!("transcribe_stt_passes_total", "Passes of the engine over windows, by model");
    describe_histogram!("transcribe_stt_window_seconds", "Elapsed seconds from handing a window out to its text");
    describe_gauge!("transcribe_jobs", "Recordings in the ledger, by state");
    describe_gauge!("transcribe_queue_age_seconds", "Since when the oldest recording waits to be taken up");
    describe_gauge!("transcribe_inbox_events", "Events that were answered and not acted upon yet");
    describe_gauge!("transcribe_spool_bytes", "Bytes of downloads on this machine's disk");
    describe_gauge!("transcribe_token_age_seconds", "Age of Zoom's access token");
    describe_gauge!("process_resident_memory_bytes", "Resident memory of this process, without the engine's");
}

pub(super) fn count(event: Event<'_>) {
    let ended = |outcome: &'static str| metrics::counter!("transcribe_recordings_total", "outcome" => outcome);
    match event {
        Event::Transcribed { audio_ms, elapsed, .. } => {
            ended("transcribed").increment(1);
            let audio = Duration::from_millis(u64::try_from(audio_ms).unwrap_or(0));
            metrics::counter!("transcribe_audio_seconds_total")
                .increment(u64::try_from(audio_ms.max(0) + 500).unwrap_or(0) / 1000);
            if audio > Duration::ZERO {
                let factor = elapsed.as_secs_f64() / audio.as_secs_f64();
                metrics::histogram!("transcribe_real_time_factor").record(factor);
            }
        }
        Event::Retrying { failure, .. } | Event::Crashed { failure, .. } | Event::Dead { failure, .. } => {
            let outcome = match event {
                Event::Retrying { .. } => "retried",
                Event::Crashed { .. } => "crashed",
                _ => "dead",
            };
            ended(outcome).increment(1);
            let (stage, reason) = (failure.stage.as_str(), failure.reason.as_str());
            metrics::counter!("transcribe_failures_total", "stage" => stage, "reason" => reason).increment(1);
        }
        Event::ClaimLost { .. } => ended("claim_lost").increment(1),
        Event::Published { recordings, .. } => {
            metrics::counter!("transcribe_published_recordings_total").increment(recordings as u64);
        }
        _ => {}
    }
}
