//! The resolved configuration: every value present, checked and in its own type.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use url::Url;

use super::Isa;
use crate::domain::{Language, SourceKind};
use crate::privacy::{NumberHasher, Redactor, Region};

#[derive(Debug, Clone)]
pub struct Config {
    pub source: SourceKind,
    pub zoom: ZoomConfig,
    pub folder: FolderConfig,
    pub queue: QueueConfig,
    pub paths: PathsConfig,
    pub stt: SttConfig,
    pub lake: LakeConfig,
    pub trigger: TriggerConfig,
    pub hooks: HooksConfig,
    pub telemetry: TelemetryConfig,
    pub privacy: PrivacyConfig,
}

impl Config {
    /// The fleet that does the work. Files of a folder lie on this machine, and are worked on here.
    #[must_use]
    pub fn fleet(&self) -> Option<&FleetConfig> {
        self.queue.fleet.as_ref().filter(|_| self.source == SourceKind::Zoom)
    }
}

/// The account's plan decides Zoom's rate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoomPlan {
    Pro,
    /// Business, Enterprise, Education and Partner.
    Business,
}

/// Whose recordings are listed, and how this program signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoomMode {
    /// A Server-to-Server app: the account's recordings, or those of `zoom.users`.
    Account,
    /// A user app and `transcribe auth login`: the recordings of the user who signed in.
    User,
}

#[derive(Debug, Clone)]
pub struct ZoomConfig {
    /// Includes `/v2`. `https`, or `http` on loopback.
    pub api_url: Url,
    /// The full address of the token endpoint.
    pub oauth_url: Url,
    /// Hosts that audio may be fetched from: `host`, `*.domain` (any subdomain) or `host:port`.
    /// A private or loopback target is allowed only when its exact `host:port` stands here.
    pub download_hosts: Vec<String>,
    pub mode: ZoomMode,
    /// Account mode: list the recordings of these users (ids or e-mail addresses) only; empty = of the whole account.
    pub users: Vec<String>,
    /// Whether the `call_history` table is kept.
    pub history: bool,
    /// Whether Zoom's own transcripts are fetched and compared with ours.
    pub transcripts: bool,
    /// Rows per listing page, 1–300.
    pub page_size: u32,
    pub plan: ZoomPlan,
    /// The share of the account's rate limit that this program may use, in (0, 1].
    pub rate_share: f64,
    /// Largest accepted download in bytes.
    pub max_download_bytes: u64,
    /// How long one request may take without a byte arriving.
    pub request_timeout: Duration,
    /// How often one request is tried in all, and for how long.
    pub request_attempts: u32,
    pub retry_for: Duration,
    /// The first wait for a file that is listed but not there yet; then twice, four and eight times as long.
    pub not_ready_wait: Duration,
    /// How long one attempt at a download may take from its first byte to its last.
    pub download_timeout: Duration,
    pub on_deleted: OnDeleted,
}

/// What an event that a recording was deleted in Zoom does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeleted {
    /// Its rows stay.
    Keep,
    /// It is purged here as well.
    Purge,
}

/// What wakes the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerConfig {
    /// From one sweep to the next.
    pub sweep_every: Duration,
    /// How far before the last complete sweep the next one begins.
    pub overlap: Duration,
    /// What is in work has this long after the service was told to stop.
    pub drain: Duration,
    pub webhook: WebhookConfig,
    pub websocket: WebsocketConfig,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// `None` = no TCP listener.
    pub listen: Option<SocketAddr>,
    /// Whether `listen` was asked for, so that a missing secret is an error.
    pub is_asked_for: bool,
    pub path: String,
    pub unix_socket: Option<PathBuf>,
    /// The permissions of `unix_socket`.
    pub unix_socket_mode: u32,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How far an event's timestamp may be from the clock, either way.
    pub max_skew: Duration,
    /// Bytes.
    pub max_body: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebsocketConfig {
    pub enabled: bool,
    /// `wss`, or `ws` on loopback; with the subscription's id.
    pub url: Url,
    pub grant: WebsocketGrant,
}

/// The OAuth grant of the token that a WebSocket connection is opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebsocketGrant {
    Client,
    Account,
}

/// Who is told of calls while they ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HooksConfig {
    /// Program and arguments; empty = none.
    pub command: Vec<String>,
    pub url: Option<Url>,
    /// Names of events, such as `phone.callee_ringing`.
    pub events: Vec<String>,
    /// For one call of the command or the address.
    pub timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct FolderConfig {
    pub path: PathBuf,
    /// Which files below `path` are recordings; extensions match in any case.
    pub glob: String,
}

#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// The SQLite ledger's file.
    pub ledger: PathBuf,
    /// Where other machines take the work from, if they do.
    pub fleet: Option<FleetConfig>,
    /// Attempts a recording gets before it is dead.
    pub max_attempts: i32,
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// The delay before the second attempt; doubled for each further one.
    pub backoff: Duration,
}

/// A fleet on its message server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetConfig {
    /// `nats://host:port` or `tls://host:port`.
    pub server: String,
    /// Tells fleets on one server apart.
    pub name: String,
    /// On how many servers of a cluster everything is kept.
    pub replicas: usize,
}

#[derive(Debug, Clone)]
pub struct PathsConfig {
    /// Ledger, staging, spool and instance locks; mode 0700.
    pub state_dir: PathBuf,
    pub models_dir: PathBuf,
    pub spool_max_bytes: u64,
}

impl PathsConfig {
    #[must_use]
    pub fn spool_dir(&self) -> PathBuf {
        self.state_dir.join("spool")
    }

    #[must_use]
    pub fn staging_dir(&self) -> PathBuf {
        self.state_dir.join("staged")
    }

    /// Audio that is kept after its work is done.
    #[must_use]
    pub fn audio_dir(&self) -> PathBuf {
        self.state_dir.join("audio")
    }
}

#[derive(Debug, Clone)]
pub struct SttConfig {
    /// A name in `models_dir` (`base` is `base.bin`) or a path.
    pub model: String,
    pub engine: EngineChoice,
    /// What our own engine computes with; `None` = the fastest that the processor has.
    pub isa: Option<Isa>,
    /// Languages that may be chosen; empty = all that the model knows; one = no detection.
    pub languages: Vec<Language>,
    /// Parallel decoders, each with a state of its own; `None` = one per core.
    pub workers: Option<usize>,
    /// Threads of one decoder; `None` = what is left of the cores after `workers`.
    pub threads: Option<usize>,
    /// Candidates that a careful pass follows at once; 1 = there are none but quick, greedy ones.
    pub beam_size: u32,
    /// Whether times of single words are written.
    pub words: bool,
    pub flash_attention: bool,
    /// A model that hears doubtful windows again; a name or a path, as `model`.
    pub second_model: Option<String>,
    /// A file with terms that may occur, one a line.
    pub vocabulary: Option<PathBuf>,
    /// Whether the names in the call's own record are expected to occur in it.
    pub prompt_from_call: bool,
    /// Whose voice is on the left channel of a stereo recording.
    pub left_channel: LeftChannel,
    pub guard: GuardConfig,
}

/// Which engine turns speech into text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EngineChoice {
    /// Our own where it is fast and says what whisper.cpp says, else whisper.cpp.
    Auto,
    WhisperCpp,
    /// Our own.
    Native,
}

impl EngineChoice {
    pub const NAMED: [(&str, Self); 3] =
        [("auto", Self::Auto), ("whisper.cpp", Self::WhisperCpp), ("native", Self::Native)];
}

/// Whose voice the left channel of a stereo recording carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftChannel {
    /// Nobody knows: speakers are `left` and `right`.
    Unknown,
    /// The recording's owner or whoever acted for it; the other party is on the right.
    Owner,
    /// The other way round.
    Other,
}

/// When a decoded segment is not trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardConfig {
    /// Frames with at least this probability of voice count as speech, in (0, 1).
    pub speech_threshold: f32,
    /// Suppress above this no-speech probability, where the log probability is also below `min_avg_logprob`.
    pub max_no_speech_prob: f64,
    pub min_avg_logprob: f64,
    /// Bytes of text over bytes after zlib; above it the text repeats itself.
    pub max_compression_ratio: f64,
    /// Tried in this order until a window passes; the first is 0.
    pub temperatures: Vec<f32>,
    /// A quick pass with less likely words than this is followed by a careful one.
    pub sure_avg_logprob: f64,
    /// So many times a sentence may be said in a row.
    pub max_repeats: usize,
    /// Less text than so many characters a second of speech (half of that in languages without spaces) is too little.
    pub min_chars_per_s: f64,
    /// More seconds of speech in a row than this that belong to no segment are too many.
    pub max_unheard_s: f64,
    /// With less than this share of sound a known phrase of silence is under suspicion, in [0, 1].
    pub min_voice_share: f64,
    /// A window is in another language than the recording when that leads by this much, in [0, 1].
    pub switch_margin: f64,
    /// Below it the language of a recording is doubtful, in [0, 1].
    pub min_language_margin: f64,
    /// Words below this mean log probability are doubtful: looked at by a person, or heard by the second model.
    pub doubtful_avg_logprob: f64,
}

/// How much time one partition of the lake holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Partition {
    #[default]
    Day,
    /// Its `dt` is the first day of the month.
    Month,
}

impl Partition {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// Where a lake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LakePlace {
    Folder(PathBuf),
    Bucket(BucketConfig),
}

impl fmt::Display for LakePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Bucket(bucket) => f.write_str(&bucket.url()),
        }
    }
}

/// What speaks to a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreService {
    /// AWS, and what speaks its language.
    S3,
    #[cfg(feature = "gcs")]
    Gcs,
    #[cfg(feature = "azure")]
    Azure,
}

impl StoreService {
    /// How its addresses begin.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            #[cfg(feature = "gcs")]
            Self::Gcs => "gs",
            #[cfg(feature = "azure")]
            Self::Azure => "az",
        }
    }
}

/// A bucket of a store in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketConfig {
    pub service: StoreService,
    pub name: String,
    /// The folder in it, without a slash at either end; may be empty.
    pub prefix: String,
    /// Where the service is, if it is not AWS.
    pub endpoint: Option<Url>,
    /// `None` = as the environment or the profile says, else us-east-1.
    pub region: Option<String>,
    /// The KMS key with which the service encrypts; `None` = as the bucket does by itself.
    pub encryption_key: Option<String>,
}

impl BucketConfig {
    /// `s3://bucket/prefix`.
    #[must_use]
    pub fn url(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("{}://{}{slash}{}", self.service.scheme(), self.name, self.prefix)
    }
}

#[derive(Debug, Clone)]
pub struct LakeConfig {
    /// Where the tables are.
    pub place: LakePlace,
    /// The zone whose calendar day is `dt`.
    pub partition_timezone: TimeZone,
    /// How much time one `dt` is.
    pub partition: Partition,
    /// Publish a day's staged transcripts when the oldest has waited this long …
    pub flush_every: Duration,
    /// … or when they hold this many bytes.
    pub flush_bytes: u64,
    /// The service publishes fresh calls at once, but not more often than this.
    pub fresh_every: Duration,
    /// ZSTD level, 1–22.
    pub compression_level: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    pub log_format: LogFormat,
    /// Where the service answers questions about itself; `None` = nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// The collector that spans are sent to over OTLP/HTTP, without `/v1/traces`; `None` = nobody. `https`, or `http` on
    /// loopback or where it was allowed.
    pub otlp_endpoint: Option<Url>,
}

/// What of the texts is nobody's business.
#[derive(Debug, Clone)]
pub struct PrivacyConfig {
    /// Masks texts before anything is written; `None` = they stay as they are.
    pub redactor: Option<Redactor>,
    /// Whose national numbers are understood.
    pub region: Region,
    /// Hashes numbers for joins; `None` = without a key there are no hashes.
    pub hasher: Option<NumberHasher>,
    /// How long audio is kept after its transcript was finished.
    pub audio_retention: Duration,
    /// What is older than this is purged; `None` = nothing is.
    pub transcript_retention: Option<Duration>,
}
