//! Opens a file's container and hands out what is to be decoded, in order, with every loss accounted for.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_MP3};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadBytes};
use symphonia::core::packet::{Packet, PacketRef};
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::formats::{FlacReader, IsoMp4Reader, WavReader};

use super::edit_list::edit_of_track;
use super::error::DecodeError;
use super::mpeg::{Cut, Frames};
use super::mpeg_header::FrameHeader;
use super::sniff::{Container, sniff};
use super::wave::{MendedWave, WaveSize};

/// Malformed packets in a row after which the rest of the file is given up.
const MAX_BAD_PACKETS: u32 = 64;
/// Padding beyond this is not an encoder's.
const MAX_PADDING: u64 = 8192;
/// Samples in a whole AAC packet.
const AAC_PACKET: u64 = 1024;

/// What the container says about the length of its sound, in samples per channel at the file's rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lead {
    /// To be dropped at the start.
    pub(super) delay: u64,
    /// Where the sound ends, delay included; what is decoded beyond is padding. Absent when not said.
    pub(super) end: Option<u64>,
    /// The most that may be padding.
    pub(super) padding: u64,
    /// All of it, delay and padding included; absent when not said.
    pub(super) announced: Option<u64>,
    /// How far a complete file may be from `announced`.
    pub(super) tolerance: u64,
    /// The most that one byte of such a file can decode to: what claims more is a forgery.
    pub(super) most_per_byte: u64,
}

/// The next thing to decode.
pub(super) enum Piece<'a> {
    /// One packet that stands for `samples` per channel.
    Packet {
        packet: PacketRef<'a>,
        samples: u64,
    },
    /// This much is missing before the next packet, in samples per channel, and how many packets that was.
    Lost {
        samples: u64,
        packets: u64,
    },
    /// The packets that follow need a new decoder.
    NewDecoder,
    End,
}

pub(super) struct Demuxer {
    kind: Kind,
    parameters: AudioCodecParameters,
    lead: Lead,
    file_bytes: u64,
}

enum Kind {
    Mpeg(MpegState),
    Symphonia(SymphoniaState),
}

struct MpegState {
    frames: Frames<File>,
    last: Option<FrameHeader>,
    /// A frame that was cut but not handed out yet, because its decoder had to be announced first.
    waiting: Option<FrameHeader>,
}

struct SymphoniaState {
    reader: Box<dyn FormatReader>,
    track_id: u32,
    /// Samples per channel in one tick, as a fraction.
    per_tick: (u64, u64),
    /// Only FLAC says in each packet where it belongs, so only there a gap can be seen.
    has_positions: bool,
    position: u64,
    packet: Option<Packet>,
    waiting: bool,
    wave: Option<WaveSize>,
}

impl Demuxer {
    pub(super) fn open(path: &Path) -> Result<Self, DecodeError> {
        let mut file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        let sniffed = sniff(&mut file, file_bytes)?;
        match sniffed.container {
            Container::Mpeg => Self::open_mpeg(file, sniffed.start, file_bytes, sniffed.claims_audio),
            Container::Wave => {
                let (wave, size) = MendedWave::open(file, sniffed.start, file_bytes)?;
                let reader = WavReader::try_new(stream(wave), FormatOptions::default());
                let mut demuxer = Self::with_reader(Box::new(opened(reader, "wav")?), file_bytes, 8, "wav")?;
                if let Kind::Symphonia(state) = &mut demuxer.kind {
                    state.wave = Some(size);
                }
                Ok(demuxer)
            }
            Container::Flac => {
                file.seek(SeekFrom::Start(sniffed.start))?;
                let reader = FlacReader::try_new(stream(file), FormatOptions::default());
                // The shortest frame has 11 bytes, the longest block 65,535 samples.
                let mut demuxer = Self::with_reader(Box::new(opened(reader, "flac")?), file_bytes, 6000, "flac")?;
                if let Kind::Symphonia(state) = &mut demuxer.kind {
                    state.has_positions = true;
                }
                Ok(demuxer)
            }
            Container::IsoMp4 => Self::open_mp4(file, file_bytes),
        }
    }

    fn open_mpeg(mut file: File, start: u64, file_bytes: u64, claims_audio: bool) -> Result<Self, DecodeError> {
        file.seek(SeekFrom::Start(start))?;
        let Some(frames) = Frames::open(file)? else {
            let without_frames = DecodeError::Undecodable { code: "no_frames" };
            return Err(if claims_audio { without_frames } else { DecodeError::NotAudio });
        };
        let mut parameters = AudioCodecParameters::new();
        parameters.for_codec(CODEC_ID_MP3);
        let info = frames.info();
        let samples_per_frame = frames.samples_per_frame();
        let announced = info.frames.map(|count| u64::from(count) * samples_per_frame);
        let padding = u64::from(info.padding);
        let lead = Lead {
            delay: u64::from(info.delay),
            end: announced.map(|announced| announced.saturating_sub(padding)),
            padding,
            announced,
            tolerance: 0,
            // The shortest frame has 24 bytes for 576 samples.
            most_per_byte: 24,
        };
        let state = MpegState { frames, last: None, waiting: None };
        Ok(Self { kind: Kind::Mpeg(state), parameters, lead, file_bytes })
    }

    fn open_mp4(file: File, file_bytes: u64) -> Result<Self, DecodeError> {
        let mut for_edits = file.try_clone()?;
        let mut stream = stream(file);
        // Symphonia expects to be called behind the size of the first box.
        stream.ignore_bytes(4)?;
        let reader = opened(IsoMp4Reader::try_new(stream, FormatOptions::default()), "mp4")?;
        let mut demuxer = Self::with_reader(Box::new(reader), file_bytes, 1024, "mp4")?;
        if demuxer.parameters.codec != CODEC_ID_AAC {
            return Err(DecodeError::Unsupported { code: "mp4_codec" });
        }
        let Kind::Symphonia(state) = &demuxer.kind else { return Ok(demuxer) };
        // Both handles share one position, and the reader has buffered from its own.
        let position = for_edits.stream_position()?;
        let edit = edit_of_track(&mut for_edits, file_bytes, state.track_id);
        for_edits.seek(SeekFrom::Start(position))?;
        let Some(announced) = demuxer.lead.announced else { return Ok(demuxer) };
        // The last packet decodes to more than it stands for.
        demuxer.lead.tolerance = AAC_PACKET;
        demuxer.lead.padding = AAC_PACKET;
        demuxer.lead.end = Some(announced);
        if let Some(edit) = edit? {
            let samples = |ticks: u64| scaled(ticks, state.per_tick);
            let delay = samples(edit.skip);
            // The edit's length is rounded to the movie's clock: never cut into the sound for that.
            let end = edit.length.map_or(announced, |ticks| announced.min(delay + samples(ticks + edit.precision)));
            let is_encoders = delay <= MAX_PADDING && announced - end <= MAX_PADDING;
            if is_encoders {
                demuxer.lead.delay = delay;
                demuxer.lead.end = Some(end);
                demuxer.lead.padding = announced - end + AAC_PACKET;
            }
        }
        Ok(demuxer)
    }

    fn with_reader(
        reader: Box<dyn FormatReader>,
        file_bytes: u64,
        most_per_byte: u64,
        code: &'static str,
    ) -> Result<Self, DecodeError> {
        let track = reader.first_track_known_codec(TrackType::Audio).cloned();
        let track = track.ok_or(DecodeError::Unsupported { code })?;
        let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio()).cloned();
        let parameters = parameters.ok_or(DecodeError::Unsupported { code })?;
        let per_tick = samples_per_tick(&track, parameters.sample_rate);
        let announced = track.num_frames.or_else(|| track.duration.map(|ticks| scaled(ticks.get(), per_tick)));
        let lead = Lead { announced, most_per_byte, ..Lead::default() };
        let state = SymphoniaState {
            reader,
            track_id: track.id,
            per_tick,
            has_positions: false,
            position: 0,
            packet: None,
            waiting: false,
            wave: None,
        };
        Ok(Self { kind: Kind::Symphonia(state), parameters, lead, file_bytes })
    }

    pub(super) fn lead(&self) -> Lead {
        self.lead
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    pub(super) fn decoder(&self) -> Result<Box<dyn AudioDecoder>, DecodeError> {
        let options = AudioDecoderOptions::default().gapless(false);
        let decoder = symphonia::default::get_codecs().make_audio_decoder(&self.parameters, &options);
        decoder.map_err(|_unsupported| DecodeError::Unsupported { code: "codec" })
    }

    /// What the header promised and the file lacks, in samples per channel, when `decoded` (delay and padding included)
    /// came out.
    pub(super) fn missing(&self, decoded: u64) -> u64 {
        match &self.kind {
            Kind::Symphonia(SymphoniaState { wave: Some(size), .. }) if size.held > 0 => {
                scaled(size.missing, (decoded, size.held))
            }
            _ => self.lead.announced.map_or(0, |announced| announced.saturating_sub(decoded)),
        }
    }

    pub(super) fn next(&mut self) -> Result<Piece<'_>, DecodeError> {
        match &mut self.kind {
            Kind::Mpeg(state) => state.next(),
            Kind::Symphonia(state) => state.next(self.lead.announced),
        }
    }
}

impl MpegState {
    fn next(&mut self) -> Result<Piece<'_>, DecodeError> {
        let header = match self.waiting.take() {
            Some(header) => header,
            None => match self.frames.next()? {
                Cut::End => return Ok(Piece::End),
                Cut::Lost(packets) => {
                    let samples = packets * self.last.map_or(0, |header| u64::from(header.samples()));
                    // What follows refers to bytes that are gone.
                    self.last = None;
                    return Ok(Piece::Lost { samples, packets });
                }
                Cut::Frame(header) => {
                    let is_same =
                        self.last.is_some_and(|last| last.is_like(header) && last.channels == header.channels);
                    self.last = Some(header);
                    if !is_same {
                        self.waiting = Some(header);
                        return Ok(Piece::NewDecoder);
                    }
                    header
                }
            },
        };
        let samples = u64::from(header.samples());
        let packet = PacketRef::new(0, Timestamp::ZERO, Duration::from(samples), self.frames.frame());
        Ok(Piece::Packet { packet, samples })
    }
}

impl SymphoniaState {
    fn next(&mut self, announced: Option<u64>) -> Result<Piece<'_>, DecodeError> {
        if !self.waiting {
            self.packet = self.read()?;
            if let Some(packet) = self.packet.as_ref().filter(|_| self.has_positions) {
                let begins = u64::try_from(packet.pts.get()).unwrap_or(0);
                let within = announced.map_or(begins, |announced| begins.min(announced));
                let gap = within.saturating_sub(self.position);
                if gap > 0 {
                    self.waiting = true;
                    self.position = within;
                    return Ok(Piece::Lost { samples: gap, packets: 1 });
                }
            }
        }
        self.waiting = false;
        let Some(packet) = &self.packet else { return Ok(Piece::End) };
        let samples = scaled(packet.dur.get(), self.per_tick);
        self.position = self.position.saturating_add(samples);
        Ok(Piece::Packet { packet: packet.as_packet_ref(), samples })
    }

    /// The next packet of the track; `None` at the end, and where nothing sound follows.
    fn read(&mut self) -> Result<Option<Packet>, DecodeError> {
        let mut bad = 0;
        while bad < MAX_BAD_PACKETS {
            match self.reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track_id => return Ok(Some(packet)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(Error::IoError(error)) => return if is_real(&error) { Err(error.into()) } else { Ok(None) },
                Err(Error::DecodeError(_)) => bad += 1,
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }
}

fn stream(source: impl MediaSource + 'static) -> MediaSourceStream<'static> {
    MediaSourceStream::new(Box::new(source), symphonia::core::io::MediaSourceStreamOptions::default())
}

/// Turns what Symphonia says of a container's head into our own words.
fn opened<T>(result: symphonia::core::errors::Result<T>, code: &'static str) -> Result<T, DecodeError> {
    result.map_err(|error| match error {
        Error::IoError(error) if is_real(&error) => DecodeError::from(error),
        Error::Unsupported(_) => DecodeError::Unsupported { code },
        _ => DecodeError::Undecodable { code },
    })
}

/// Whether the operating system reported the error, rather than a parser that ran past the end or sought nonsense.
fn is_real(error: &io::Error) -> bool {
    error.raw_os_error().is_some() && error.kind() != io::ErrorKind::InvalidInput
}

fn samples_per_tick(track: &Track, rate_hz: Option<u32>) -> (u64, u64) {
    match (track.time_base, rate_hz) {
        (Some(base), Some(rate)) => {
            (u64::from(base.numer.get()).saturating_mul(u64::from(rate)), u64::from(base.denom.get()))
        }
        _ => (1, 1),
    }
}

/// `value * numerator / denominator` without overflow.
fn scaled(value: u64, (numerator, denominator): (u64, u64)) -> u64 {
    let scaled = u128::from(value) * u128::from(numerator) / u128::from(denominator.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}
