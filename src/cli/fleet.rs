//! What `transcribe status` says of a fleet: who works, how fast, and when it will be done.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Session;
use super::run::clock;
use crate::config::secrets::FleetSecrets;
use crate::fleet::{FleetError, Link, Roll, WorkerCard};
use crate::pipeline::RunError;

/// The connection to the message server that `queue.url` names.
pub(super) async fn link(session: &Session) -> anyhow::Result<Link> {
    let secrets = FleetSecrets::read(&session.environment)?;
    let fleet = session.config.fleet().ok_or(FleetError::NotConfigured).map_err(fail)?;
    Link::connect(fleet, session.config.queue.lease, &secrets).await.map_err(fail)
}

fn fail(error: FleetError) -> anyhow::Error {
    RunError::from(error).into()
}

/// What is there now.
pub(super) struct Fleet {
    server: String,
    cards: Vec<WorkerCard>,
}

impl Fleet {
    /// Asks the message server; `None` without a fleet.
    pub(super) fn look(session: &Session) -> anyhow::Result<Option<Self>> {
        let Some(fleet) = session.config.fleet() else { return Ok(None) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let cards = runtime.block_on(async { Roll::of(link(session).await?).all().await.map_err(fail) })?;
        Ok(Some(Self { server: fleet.server.clone(), cards }))
    }

    pub(super) fn workers(&self) -> usize {
        self.cards.len()
    }

    /// Seconds of audio in a second, of all workers together.
    fn pace(&self) -> Option<f64> {
        let paces: Vec<f64> = self.cards.iter().filter_map(|card| card.pace).collect();
        (!paces.is_empty()).then(|| paces.iter().sum())
    }

    /// How long so much audio will take.
    fn time_for(&self, audio_s: u64) -> Option<Duration> {
        Some(Duration::from_secs(audio_s).div_f64(self.pace().filter(|pace| *pace > 0.0)?))
    }

    /// `open_audio_s` waits or is in work, the oldest of it since `oldest`.
    pub(super) fn print(
        &self,
        out: &mut impl Write,
        open_audio_s: u64,
        oldest: Option<Timestamp>,
    ) -> std::io::Result<()> {
        let now = Timestamp::now();
        let in_work: usize = self.cards.iter().map(|card| card.in_work.len()).sum();
        write!(out, "\nfleet at {}: {} workers, {in_work} recordings in hand", self.server, self.cards.len())?;
        if let Some(pace) = self.pace() {
            write!(out, ", {pace:.1} s of audio a second")?;
        }
        if let Some(oldest) = oldest {
            let age = now.duration_since(oldest).as_secs().max(0).unsigned_abs();
            write!(out, ", oldest waits for {}", clock(age))?;
        }
        if let Some(time) = self.time_for(open_audio_s).filter(|_| open_audio_s > 0) {
            write!(out, ", done in about {}", clock(time.as_secs()))?;
        }
        writeln!(out)?;
        if self.cards.is_empty() {
            return writeln!(out, "no worker is there: start `transcribe worker` on the machines that are to work");
        }
        writeln!(
            out,
            "{:<28} {:>8} {:>8} {:>8} {:>10} {:>9}",
            "worker", "decoders", "in hand", "done", "audio", "audio/s"
        )?;
        for card in &self.cards {
            let pace = card.pace.map_or_else(|| "-".to_owned(), |pace| format!("{pace:.1}"));
            let (workers, in_hand, done) = (card.workers, card.in_work.len(), card.done);
            let audio = clock(card.audio_ms / 1000);
            writeln!(out, "{:<28} {workers:>8} {in_hand:>8} {done:>8} {audio:>10} {pace:>9}", card.name())?;
        }
        Ok(())
    }

    pub(super) fn json(&self, open_audio_s: u64) -> Value {
        json!({
            "server": self.server,
            "workers": self.cards,
            "audio_seconds_per_second": self.pace(),
            "seconds_to_go": self.time_for(open_audio_s).map(|time| time.as_secs()),
        })
    }
}
