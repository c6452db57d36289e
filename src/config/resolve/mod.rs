//! From merged layers to the resolved configuration.

mod lake;
mod privacy;
mod reader;
mod service;

use std::path::Path;
use std::time::Duration;

use self::reader::{Reader, narrowed};
use self::service::{collector, hooks, trigger};
use super::Isa;
use super::layers::{ConfigError, Layers, Merged};
use super::secrets::Environment;
use super::settings::{
    Config, EngineChoice, FolderConfig, GuardConfig, LeftChannel, LogFormat, OnDeleted, PathsConfig, QueueConfig,
    SttConfig, TelemetryConfig, ZoomConfig, ZoomMode, ZoomPlan,
};
use crate::domain::{Language, SourceKind};

impl Config {
    /// Checks every value and gives it its type.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] for the first value that is not accepted.
    pub fn resolve(merged: &Merged) -> Result<Self, ConfigError> {
        let read = Reader { merged };
        let paths = PathsConfig {
            state_dir: read.path("paths.state_dir")?,
            models_dir: read.path("paths.models_dir")?,
            spool_max_bytes: read.size("paths.spool_max_bytes")?,
        };
        Ok(Self {
            source: read.word("source.kind", &[("zoom", SourceKind::Zoom), ("folder", SourceKind::Folder)])?,
            zoom: zoom(&read)?,
            folder: FolderConfig { path: read.path("folder.path")?, glob: read.text("folder.glob")? },
            queue: QueueConfig {
                ledger: read.ledger(&paths)?,
                fleet: read.fleet()?,
                max_attempts: read.whole("queue.max_attempts", 1, 100)?,
                lease: read.duration("queue.lease", Duration::from_secs(1))?,
                backoff: read.duration("queue.backoff", Duration::ZERO)?,
            },
            paths,
            stt: stt(&read)?,
            lake: lake::lake(&read)?,
            trigger: trigger(&read)?,
            hooks: hooks(&read)?,
            telemetry: TelemetryConfig {
                metrics_listen: read.listen("telemetry.metrics_listen")?,
                otlp_endpoint: collector(&read)?,
                log_format: read
                    .word("telemetry.log_format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])?,
            },
            privacy: privacy::privacy(&read)?,
        })
    }
}

impl Default for Config {
    /// The defaults of `pipeline.toml`.
    fn default() -> Self {
        let (environment, working_dir) = (Environment::default(), Path::new(""));
        let layers = Layers { file: None, environment: &environment, flags: &[], working_dir };
        Merged::from_layers(&layers).and_then(|merged| Self::resolve(&merged)).expect("the embedded defaults are valid")
    }
}

impl Default for SttConfig {
    /// The defaults of `pipeline.toml`.
    fn default() -> Self {
        Config::default().stt
    }
}

impl Default for GuardConfig {
    /// The defaults of `pipeline.toml`.
    fn default() -> Self {
        Config::default().stt.guard
    }
}

fn zoom(read: &Reader<'_>) -> Result<ZoomConfig, ConfigError> {
    let mode = read.word("zoom.mode", &[("account", ZoomMode::Account), ("user", ZoomMode::User)])?;
    let users = read.texts("zoom.users")?;
    let is_me = |user: &String| user == "me";
    if mode == ZoomMode::User && !users.iter().all(is_me) {
        return Err(read.bad("zoom.users", "empty (or \"me\") with zoom.mode = \"user\": that user is the only one"));
    }
    if mode == ZoomMode::Account && users.iter().any(|user| is_me(user) || user.trim().is_empty()) {
        return Err(read.bad("zoom.users", "ids or e-mail addresses; \"me\" needs zoom.mode = \"user\""));
    }
    Ok(ZoomConfig {
        api_url: read.address("zoom.api_url")?,
        oauth_url: read.address("zoom.oauth_url")?,
        download_hosts: read.hosts("zoom.download_hosts")?,
        mode,
        users,
        history: read.flag("zoom.history")?,
        transcripts: read.flag("zoom.transcripts")?,
        page_size: read.whole("zoom.page_size", 1, 300)?.unsigned_abs(),
        plan: read.word("zoom.plan", &[("pro", ZoomPlan::Pro), ("business", ZoomPlan::Business)])?,
        rate_share: read.number("zoom.rate_share", 0.001, 1.0)?,
        max_download_bytes: read.size("zoom.max_download")?,
        request_timeout: read.duration("zoom.request_timeout", Duration::from_millis(1))?,
        request_attempts: read.whole("zoom.request_attempts", 1, 100)?.unsigned_abs(),
        retry_for: read.duration("zoom.retry_for", Duration::ZERO)?,
        not_ready_wait: read.duration("zoom.not_ready_wait", Duration::ZERO)?,
        download_timeout: read.duration("zoom.download_timeout", Duration::from_secs(1))?,
        on_deleted: read.word("zoom.on_deleted", &[("keep", OnDeleted::Keep), ("purge", OnDeleted::Purge)])?,
    })
}

fn stt(read: &Reader<'_>) -> Result<SttConfig, ConfigError> {
    let languages = read.texts("stt.languages")?;
    let is_code = |code: &String| (2..=3).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase());
    if !languages.iter().all(is_code) {
        return Err(read.bad("stt.languages", "a list of codes such as [\"ja\", \"en\"]"));
    }
    Ok(SttConfig {
        model: read.text("stt.model")?,
        engine: read.word("stt.engine", &EngineChoice::NAMED)?,
        isa: {
            let known = Isa::ALL.map(|isa| (isa.as_str(), Some(isa)));
            read.word("stt.isa", &[&[("auto", None)][..], &known].concat())?
        },
        languages: languages.into_iter().map(Language).collect(),
        workers: read.auto_or_whole("stt.workers")?,
        threads: read.auto_or_whole("stt.threads")?,
        beam_size: read.whole("stt.beam_size", 1, 8)?.unsigned_abs(),
        words: read.flag("stt.words")?,
        flash_attention: read.flag("stt.flash_attention")?,
        second_model: read.switch("stt.second_model")?,
        vocabulary: read.switch("stt.vocabulary")?.map(|_| read.path("stt.vocabulary")).transpose()?,
        prompt_from_call: read.flag("stt.prompt_from_call")?,
        left_channel: read.word(
            "stt.left_channel",
            &[("unknown", LeftChannel::Unknown), ("owner", LeftChannel::Owner), ("other", LeftChannel::Other)],
        )?,
        guard: GuardConfig {
            speech_threshold: narrowed(read.number("stt.speech_threshold", 0.01, 0.99)?),
            max_no_speech_prob: read.number("stt.max_no_speech_prob", 0.0, 1.0)?,
            min_avg_logprob: read.number("stt.min_avg_logprob", -20.0, 0.0)?,
            max_compression_ratio: read.number("stt.max_compression_ratio", 1.0, 100.0)?,
            temperatures: read.temperatures("stt.temperatures")?,
            sure_avg_logprob: read.number("stt.sure_avg_logprob", -20.0, 0.0)?,
            max_repeats: usize::try_from(read.whole("stt.max_repeats", 1, 100)?).unwrap_or(1),
            min_chars_per_s: read.number("stt.min_chars_per_s", 0.0, 100.0)?,
            max_unheard_s: read.number("stt.max_unheard_s", 0.0, 28.0)?,
            min_voice_share: read.number("stt.min_voice_share", 0.0, 1.0)?,
            switch_margin: read.number("stt.switch_margin", 0.0, 1.0)?,
            min_language_margin: read.number("stt.min_language_margin", 0.0, 1.0)?,
            doubtful_avg_logprob: read.number("stt.doubtful_avg_logprob", -20.0, 0.0)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use toml::Value;

    use super::super::layers::{Layers, shown};
    use super::super::secrets::Environment;
    use super::*;
    use crate::config::LakePlace;

    fn resolve(
        file: Option<&str>,
        environment: &[(&str, &str)],
        flags: &[(&str, &str)],
    ) -> Result<Config, ConfigError> {
        let environment: Environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let flags: Vec<(String, String, String)> =
            flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned(), format!("--set {key}"))).collect();
        let merged = Merged::from_layers(&Layers {
            file: file.map(|text| (Path::new("/etc/transcribe/pipeline.toml"), text)),
            environment: &environment,
            flags: &flags,
            working_dir: Path::new("/home/operator"),
        })?;
        Config::resolve(&merged)
    }

    #[test]
    fn of_an_address_that_may_hold_a_token_only_scheme_and_host_are_told() {
        for (key, value, told) in [
            ("hooks.url", "http://hooks.example/T0KEN?key=T0KEN", "`\"http://hooks.example\"`"),
            ("hooks.url", "T0KEN", "`\"…\"`"),
            ("trigger.websocket.url", "ws://ws.example/T0KEN?subscriptionId=T0KEN", "`\"ws://ws.example\"`"),
        ] {
            let complaint = resolve(None, &[], &[(key, value)]).unwrap_err();
            let ConfigError::BadValue { value, .. } = complaint else { panic!("{complaint}") };
            assert_eq!(value, told);
        }
        let in_file = "[hooks]\nurl = [\"https://hooks.example/T0KEN\"]\n";
        let complaint = resolve(Some(in_file), &[], &[]).unwrap_err().to_string();
        assert!(complaint.contains("hooks.url") && !complaint.contains("T0KEN"), "{complaint}");
        let address = Value::from("https://user:T0KEN@hooks.example/T0KEN");
        assert_eq!(shown("hooks.url", &address), "\"https://hooks.example\"");
        assert_eq!(shown("hooks.url", &Value::from("off")), "\"off\"");
        assert_eq!(shown("queue.url", &Value::from("nats://user:T0KEN@host:4222/q")), "\"nats://host:4222\"");
        for broken in [
            "nats://user:T0/KEN@host:4222",
            "nats://user:1/KEN@host",
            "nats://u:T0KEN@host:99999",
            "user:T0KEN@host:4222",
        ] {
            let told = shown("queue.url", &Value::from(broken));
            assert!(!told.contains("KEN"), "{told}");
        }
        assert_eq!(shown("zoom.api_url", &Value::from("https://api.zoom.us/v2")), "\"https://api.zoom.us/v2\"");
    }

    #[test]
    fn the_socket_s_permissions_are_octal_digits_that_shut_others_out() {
        let key = "trigger.webhook.unix_socket_mode";
        assert_eq!(resolve(None, &[], &[]).unwrap().trigger.webhook.unix_socket_mode, 0o600);
        assert_eq!(resolve(None, &[], &[(key, "0660")]).unwrap().trigger.webhook.unix_socket_mode, 0o660);
        for bad in ["0666", "0604", "0377", "1600", "0o600", "+600", "rw", "0680"] {
            assert!(matches!(resolve(None, &[], &[(key, bad)]), Err(ConfigError::BadValue { .. })), "{bad}");
        }
        let number = resolve(Some("[trigger.webhook]\nunix_socket_mode = 600\n"), &[], &[]);
        assert!(matches!(number, Err(ConfigError::BadValue { .. })), "{number:?}");
    }

    #[test]
    fn the_built_in_defaults_are_valid() {
        let config = resolve(None, &[], &[]).unwrap();
        assert_eq!(config.paths.state_dir, Path::new("/home/operator/state"));
        assert_eq!(config.queue.ledger, Path::new("/home/operator/state/ledger.sqlite"));
        assert_eq!(config.zoom.page_size, 300);
        assert_eq!(config.stt.workers, None);
    }

    #[test]
    fn flags_beat_the_environment_which_beats_the_file_which_beats_the_defaults() {
        let file = "[stt]\nmodel = \"from-file\"\nbeam_size = 2\nwords = false\n";
        let environment = [("TRANSCRIBE__STT__MODEL", "from-env"), ("TRANSCRIBE__STT__BEAM_SIZE", "3")];
        let config = resolve(Some(file), &environment, &[("stt.model", "from-flag")]).unwrap();
        assert_eq!((config.stt.model.as_str(), config.stt.beam_size, config.stt.words), ("from-flag", 3, false));
    }

    #[test]
    fn a_relative_path_starts_at_the_folder_of_the_file_that_says_it() {
        let config = resolve(Some("[paths]\nstate_dir = \"var\"\n"), &[], &[("lake.url", "tables")]).unwrap();
        assert_eq!(config.paths.state_dir, Path::new("/etc/transcribe/var"));
        assert_eq!(config.queue.ledger, Path::new("/etc/transcribe/var/ledger.sqlite"));
        assert_eq!(config.lake.place, LakePlace::Folder("/home/operator/tables".into()));
    }

    #[test]
    fn a_copy_of_the_defaults_keeps_the_ledger_in_the_state_folder() {
        let config = resolve(Some(super::super::layers::DEFAULTS), &[], &[("paths.state_dir", "/var/t")]).unwrap();
        assert_eq!(config.queue.ledger, Path::new("/var/t/ledger.sqlite"));
        let config = resolve(None, &[], &[("queue.url", "sqlite:/data/l.sqlite")]).unwrap();
        assert_eq!(config.queue.ledger, Path::new("/data/l.sqlite"));
        assert_eq!(config.queue.fleet, None);
    }

    #[test]
    fn an_unknown_key_names_its_file_its_line_and_the_nearest_key() {
        let error = resolve(Some("[stt]\n# a comment\nmodle = \"base\"\n"), &[], &[]).unwrap_err();
        let expected = "/etc/transcribe/pipeline.toml, line 3: there is no key `stt.modle`; did you mean `stt.model`?";
        assert_eq!(error.to_string(), expected);
        let error = resolve(None, &[("TRANSCRIBE__STT__THREDS", "2")], &[]).unwrap_err();
        assert!(error.to_string().contains("TRANSCRIBE__STT__THREDS"), "{error}");
        assert!(error.to_string().ends_with("did you mean `stt.threads`?"), "{error}");
        assert!(resolve(Some("[nothing.known]\n"), &[], &[]).is_err());
        assert!(resolve(Some("[stt]\n"), &[], &[]).is_ok());
    }

    #[test]
    fn a_bad_value_names_key_value_place_and_what_is_accepted() {
        let error = resolve(Some("[zoom]\npage_size = 500\n"), &[], &[]).unwrap_err().to_string();
        for part in ["line 2", "`zoom.page_size`", "500", "1 to 300"] {
            assert!(error.contains(part), "{part} is missing in: {error}");
        }
        for (key, value) in [
            ("zoom.api_url", "http://api.zoom.us/v2"),
            ("zoom.rate_share", "0"),
            ("zoom.users", "me"),
            ("queue.lease", "26"),
            ("queue.url", "postgres://host"),
            ("queue.url", "nats://user:word@host:4222"),
            ("queue.url", "nats://host/Not a name"),
            ("queue.url", "nats://host/name?replicas=2"),
            ("lake.url", "gopher://bucket"),
            ("lake.url", "s3://x"),
            ("lake.url", "s3://bucket/a'b"),
            ("lake.url", "s3://bucket/../x"),
            ("lake.endpoint", "http://store.example.com"),
            ("lake.partition_timezone", "Mars/Olympus"),
            ("stt.languages", "english"),
            ("stt.temperatures", "0.4,0.2"),
            ("stt.workers", "many"),
            ("source.kind", "ftp"),
        ] {
            let error = resolve(None, &[], &[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains("must be"), "{error}");
            assert!(!error.contains(":word@"), "{error}");
        }
    }

    #[test]
    fn a_collector_in_the_open_is_refused_unless_plain_http_is_allowed() {
        let key = "telemetry.otlp_endpoint";
        let resolve = |address: &str, allow_http: &str| {
            let config = resolve(None, &[], &[(key, address), ("telemetry.otlp_allow_http", allow_http)]);
            config.map(|config| config.telemetry.otlp_endpoint.map(String::from)).map_err(|error| error.to_string())
        };
        assert_eq!(resolve("off", "false"), Ok(None));
        for (address, allow_http) in [
            ("http://collector.example:4318", "false"),
            ("http://10.0.0.1:4318", "false"),
            ("ftp://127.0.0.1", "true"),
            ("127.0.0.1:4318", "true"),
            ("https://user:word@collector.example", "true"),
            ("https://collector.example/?to=me", "true"),
        ] {
            let error = resolve(address, allow_http).unwrap_err();
            assert!(error.contains(key) && error.contains("must be"), "{error}");
        }
        for (address, allow_http) in [
            ("http://127.0.0.1:4318", "false"),
            ("http://[::1]:4318", "false"),
            ("https://collector.example/otlp", "false"),
            ("http://collector.example:4318", "true"),
        ] {
            match resolve(address, allow_http) {
                Ok(endpoint) if cfg!(feature = "otlp") => {
                    assert_eq!(endpoint.as_deref().map(|text| text.trim_end_matches('/')), Some(address));
                }
                Err(error) if !cfg!(feature = "otlp") => {
                    assert!(error.contains(key) && error.contains("built without otlp"), "{error}");
                }
                other => panic!("{address} became {other:?}"),
            }
        }
    }

    #[test]
    fn a_secret_in_a_file_is_refused_with_the_right_place_for_it() {
        let error = resolve(Some("[zoom]\nclient_secret = \"s3cret\"\n"), &[], &[]).unwrap_err().to_string();
        assert!(error.contains("ZOOM_CLIENT_SECRET_FILE") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_toml_names_the_line() {
        let error = resolve(Some("[stt]\nmodel = base\n"), &[], &[]).unwrap_err();
        assert!(matches!(error, ConfigError::Syntax { line: 2, .. }), "{error}");
    }

    #[test]
    fn lists_can_be_given_in_one_line_of_text() {
        let config = resolve(None, &[("TRANSCRIBE__STT__LANGUAGES", "ja, en")], &[]).unwrap();
        assert_eq!(config.stt.languages, [Language("ja".into()), Language("en".into())]);
        let config = resolve(None, &[], &[("zoom.download_hosts", "[\"127.0.0.1:8080\"]")]).unwrap();
        assert_eq!(config.zoom.download_hosts, ["127.0.0.1:8080"]);
    }
}
