//! One file as a stream of samples at its own rate: decoded, trimmed, with silence where something was lost.

use std::path::Path;

use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::AudioDecoder;

use super::demux::{Demuxer, Lead, Piece};
use super::error::DecodeError;

/// Silence is handed out in pieces, so that a long gap needs no more memory than a short one.
const SILENCE_CHUNK: u64 = 16_384;
/// No recording is longer; a file that says so was made to keep us busy.
const MAX_SECONDS: u64 = 48 * 3600;
/// Rates that can be resampled, in Hz.
const RATES_HZ: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// Samples of a file, channel by channel, at the file's own rate.
pub(super) struct NativeStream {
    demuxer: Demuxer,
    decoder: Box<dyn AudioDecoder>,
    lead: Lead,
    /// The chunk that [`NativeStream::next`] made last.
    planes: Vec<Vec<f32>>,
    rate_hz: u32,
    /// The last samples so far, as many as the padding: whether they are padding is known only at the end.
    held: Vec<Vec<f32>>,
    /// Decoded samples of a new rate that wait until the held ones of the old rate are out.
    following: Option<(u32, Vec<Vec<f32>>)>,
    delay_left: u64,
    silence_left: u64,
    /// Samples per channel so far, delay, padding and silence included.
    total: u64,
    /// How far `total` may be wrong because losses are estimated.
    uncertain: u64,
    most: u64,
    good_packets: u64,
    damaged_packets: u64,
    ended: bool,
}

impl NativeStream {
    pub(super) fn open(path: &Path) -> Result<Self, DecodeError> {
        let demuxer = Demuxer::open(path)?;
        let decoder = demuxer.decoder()?;
        let lead = demuxer.lead();
        let most = demuxer.file_bytes().saturating_mul(lead.most_per_byte).saturating_add(SILENCE_CHUNK);
        Ok(Self {
            demuxer,
            decoder,
            lead,
            planes: Vec::new(),
            rate_hz: 0,
            held: Vec::new(),
            following: None,
            delay_left: lead.delay,
            silence_left: 0,
            total: 0,
            uncertain: 0,
            most,
            good_packets: 0,
            damaged_packets: 0,
            ended: false,
        })
    }

    /// Makes the next chunk; `false` at the end. A chunk may be empty.
    ///
    /// # Errors
    /// [`DecodeError::Undecodable`] at the end when not one packet could be decoded, or as soon as more comes out than
    /// such a file can hold.
    pub(super) fn next(&mut self) -> Result<bool, DecodeError> {
        if self.ended {
            return Ok(false);
        }
        if let Some((rate_hz, planes)) = self.following.take() {
            self.rate_hz = rate_hz;
            self.planes = planes;
            return Ok(true);
        }
        loop {
            if self.silence_left > 0 && !self.planes.is_empty() {
                let count = self.silence_left.min(SILENCE_CHUNK);
                self.silence_left -= count;
                let count = usize::try_from(count).unwrap_or(0);
                for plane in &mut self.planes {
                    plane.clear();
                    plane.resize(count, 0.0);
                }
                self.trim();
                return Ok(true);
            }
            match self.demuxer.next()? {
                Piece::End => {
                    self.ended = true;
                    if self.good_packets == 0 {
                        return Err(DecodeError::Undecodable { code: "no_samples" });
                    }
                    self.release_held();
                    return Ok(true);
                }
                Piece::NewDecoder => self.decoder = self.demuxer.decoder()?,
                Piece::Lost { samples, packets } => {
                    self.damaged_packets = self.damaged_packets.saturating_add(packets);
                    self.uncertain = self.uncertain.saturating_add(samples / packets.max(1));
                    self.account(samples)?;
                    self.silence_left += samples;
                }
                Piece::Packet { packet, samples } => match self.decoder.decode_ref(&packet) {
                    Ok(sound) if sound.frames() > 0 => {
                        let rate_hz = sound.spec().rate();
                        let count = sound.frames() as u64;
                        let channels = if self.planes.is_empty() { sound.num_planes() } else { self.planes.len() };
                        let mut decoded = std::mem::take(&mut self.planes);
                        copy_sound(&sound, channels, &mut decoded);
                        self.good_packets += 1;
                        self.account(count)?;
                        return self.take(rate_hz, decoded).map(|()| true);
                    }
                    _ => {
                        self.damaged_packets += 1;
                        self.account(samples)?;
                        self.silence_left += samples;
                    }
                },
            }
        }
    }

    pub(super) fn planes(&self) -> &[Vec<f32>] {
        &self.planes
    }

    /// The rate of the current chunk in Hz, 4,000 to 192,000.
    pub(super) fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    pub(super) fn damaged_packets(&self) -> u64 {
        self.damaged_packets
    }

    /// Samples per channel that the header announced and the file lacks; meaningful at the end.
    pub(super) fn missing(&self) -> u64 {
        self.demuxer.missing(self.total)
    }

    /// Refuses a file out of which more comes than it can hold.
    fn account(&mut self, samples: u64) -> Result<(), DecodeError> {
        // A packet without any length still costs something: otherwise empty ones could go on for ever.
        self.total = self.total.saturating_add(samples);
        self.most = self.most.saturating_sub(u64::from(samples == 0));
        let longest = MAX_SECONDS.saturating_mul(u64::from(self.rate_hz.max(*RATES_HZ.start())));
        if self.total > self.most || self.total > longest {
            return Err(DecodeError::Undecodable { code: "longer_than_possible" });
        }
        Ok(())
    }

    fn take(&mut self, rate_hz: u32, decoded: Vec<Vec<f32>>) -> Result<(), DecodeError> {
        if !RATES_HZ.contains(&rate_hz) {
            return Err(DecodeError::Unsupported { code: "sample_rate" });
        }
        if self.rate_hz != 0 && self.rate_hz != rate_hz {
            // A second stream was appended: what the header says of the end does not hold any more.
            self.lead = Lead { padding: 0, announced: None, end: None, ..self.lead };
            self.planes = vec![Vec::new(); decoded.len()];
            self.release_held();
            self.following = Some((rate_hz, decoded));
            return Ok(());
        }
        self.rate_hz = rate_hz;
        self.planes = decoded;
        self.trim();
        Ok(())
    }

    /// Takes the delay off the start of the chunk and keeps back what may be padding.
    fn trim(&mut self) {
        let length = self.planes.first().map_or(0, Vec::len);
        let drop = usize::try_from(self.delay_left).unwrap_or(usize::MAX).min(length);
        self.delay_left -= drop as u64;
        for plane in &mut self.planes {
            plane.drain(..drop);
        }
        if self.lead.padding == 0 {
            return;
        }
        let keep = usize::try_from(self.lead.padding).unwrap_or(usize::MAX);
        self.held.resize(self.planes.len(), Vec::new());
        for (held, plane) in self.held.iter_mut().zip(&mut self.planes) {
            held.append(plane);
            let ready = held.len().saturating_sub(keep);
            plane.extend(held.drain(..ready));
        }
    }

    /// Makes what was kept back the chunk, less the padding: if the sound is complete, it ends where the header says.
    fn release_held(&mut self) {
        let within = self.uncertain.saturating_add(self.lead.tolerance);
        let is_complete = self.lead.announced.is_some_and(|announced| self.total.abs_diff(announced) <= within);
        let beyond = match self.lead.end {
            Some(end) if is_complete => usize::try_from(self.total.saturating_sub(end)).unwrap_or(usize::MAX),
            _ => 0,
        };
        for (plane, held) in self.planes.iter_mut().zip(&mut self.held) {
            held.truncate(held.len().saturating_sub(beyond));
            std::mem::swap(plane, held);
        }
        if self.held.is_empty() {
            self.planes.iter_mut().for_each(Vec::clear);
        }
        self.held.clear();
    }
}

/// Copies decoded sound into `channels` planes, each sample finite and in [-1, 1]. A packet with another number of
/// channels than the first one is mixed, and the mix stands in every plane.
fn copy_sound(sound: &GenericAudioBufferRef<'_>, channels: usize, planes: &mut Vec<Vec<f32>>) {
    sound.copy_to_vecs_planar(planes);
    if planes.len() != channels {
        let mix = mean(planes);
        planes.clear();
        planes.resize(channels, mix);
    }
    for sample in planes.iter_mut().flatten() {
        *sample = if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
    }
}

/// The mean of all planes, sample by sample.
pub(super) fn mean(planes: &[Vec<f32>]) -> Vec<f32> {
    let Some((first, others)) = planes.split_first() else { return Vec::new() };
    let mut mixed = first.clone();
    for plane in others {
        for (sum, sample) in mixed.iter_mut().zip(plane) {
            *sum += sample;
        }
    }
    let share = 1.0 / f32::from(u16::try_from(planes.len()).unwrap_or(u16::MAX));
    mixed.iter_mut().for_each(|sample| *sample *= share);
    mixed
}
