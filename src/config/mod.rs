//! What the program was told to do: defaults < `pipeline.toml` < environment < flags.
//!
//! [`layers`] holds the file's shape and merges the layers in one pure function; [`settings`] holds the resolved values
//! that the rest of the program sees; [`secrets`] reads what must not stand in a file that is passed around.

mod isa;
pub mod layers;
mod resolve;
pub mod secrets;
pub mod settings;
pub mod units;

pub use isa::Isa;
pub use settings::{
    BucketConfig, Config, FleetConfig, FolderConfig, GuardConfig, HooksConfig, LakeConfig, LakePlace, LeftChannel,
    LogFormat, OnDeleted, Partition, PathsConfig, PrivacyConfig, QueueConfig, StoreService, SttConfig, TelemetryConfig,
    TriggerConfig, WebhookConfig, WebsocketConfig, WebsocketGrant, ZoomConfig, ZoomMode, ZoomPlan,
};
