//! Traces over OTLP: what a collector gets of a run, and that a run needs none.

const ENDPOINT: &str = "TRANSCRIBE__TELEMETRY__OTLP_ENDPOINT";

#[cfg(not(feature = "otlp"))]
#[test]
fn a_collector_is_refused_by_a_program_that_was_built_without_otlp() {
    let mut workspace = crate::workspace::Workspace::new();
    workspace.folder_of("calls", &["speech/en_hello_world.mp3"]);
    workspace.set(ENDPOINT, "http://127.0.0.1:4318");
    let refused = workspace.run(&["--dir", "calls"]).expect_code(3);
    assert!(refused.stderr.contains("telemetry.otlp_endpoint"), "{}", refused.stderr);
    assert!(refused.stderr.contains("this program was built without otlp: "), "{}", refused.stderr);
    assert!(!workspace.lake().exists());
}

#[cfg(feature = "otlp")]
mod exported {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::{Arc, Mutex};

    use axum::body::Bytes;
    use axum::http::{HeaderMap, header};
    use axum::routing::post;
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::ENDPOINT;
    use crate::support::{Clip, ZoomServer};
    use crate::workspace::{Workspace, cached};

    /// The value of a field of a protobuf message.
    enum Field<'a> {
        Number(u64),
        Bytes(&'a [u8]),
    }

    fn varint(from: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (byte, rest) = from.split_first().unwrap();
            *from = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }

    fn taken<'a>(from: &mut &'a [u8], length: usize) -> &'a [u8] {
        let (taken, rest) = from.split_at(length);
        *from = rest;
        taken
    }

    /// The fields of a protobuf message with their numbers.
    fn fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
        let mut fields = Vec::new();
        while !message.is_empty() {
            let tag = varint(&mut message);
            let value = match tag & 7 {
                0 => Field::Number(varint(&mut message)),
                1 => Field::Number(u64::from_le_bytes(taken(&mut message, 8).try_into().unwrap())),
                2 => {
                    let length = usize::try_from(varint(&mut message)).unwrap();
                    Field::Bytes(taken(&mut message, length))
                }
                5 => Field::Number(u32::from_le_bytes(taken(&mut message, 4).try_into().unwrap()).into()),
                other => panic!("wire type {other}"),
            };
            fields.push((tag >> 3, value));
        }
        fields
    }

    /// Every value of a field that is a message, a text or bytes.
    fn all(message: &[u8], number: u64) -> Vec<&[u8]> {
        let bytes = |(found, field)| match field {
            Field::Bytes(bytes) if found == number => Some(bytes),
            _ => None,
        };
        fields(message).into_iter().filter_map(bytes).collect()
    }

    fn one(message: &[u8], number: u64) -> Vec<u8> {
        all(message, number).first().copied().unwrap_or_default().to_vec()
    }

    fn text(message: &[u8], number: u64) -> String {
        String::from_utf8(one(message, number)).unwrap()
    }

    /// The attributes in a field: `AnyValue` holds a text in field 1, a whole number in field 3.
    fn attributes(message: &[u8], number: u64) -> BTreeMap<String, String> {
        let attribute = |pair: &[u8]| {
            let value = match fields(&one(pair, 2)).remove(0) {
                (1, Field::Bytes(text)) => String::from_utf8(text.to_vec()).unwrap(),
                (3, Field::Number(number)) => number.to_string(),
                (other, _) => panic!("a value of kind {other}"),
            };
            (text(pair, 1), value)
        };
        all(message, number).into_iter().map(attribute).collect()
    }

    /// A span as opentelemetry-proto's `trace.proto` numbers its fields.
    #[derive(Debug)]
    struct Span {
        trace: Vec<u8>,
        id: Vec<u8>,
        parent: Vec<u8>,
        name: String,
        attributes: BTreeMap<String, String>,
        log_lines: usize,
        /// Attributes of the program that it comes from.
        resource: BTreeMap<String, String>,
    }

    /// The spans of an `ExportTraceServiceRequest`.
    fn spans(request: &[u8]) -> Vec<Span> {
        let mut spans = Vec::new();
        for of_program in all(request, 1) {
            let resource = attributes(&one(of_program, 1), 1);
            for of_scope in all(of_program, 2) {
                spans.extend(all(of_scope, 2).into_iter().map(|span| Span {
                    trace: one(span, 1),
                    id: one(span, 2),
                    parent: one(span, 4),
                    name: text(span, 5),
                    attributes: attributes(span, 9),
                    log_lines: all(span, 11).len(),
                    resource: resource.clone(),
                }));
            }
        }
        spans
    }

    type Requests = Arc<Mutex<Vec<Bytes>>>;

    /// A collector on loopback: its address, and what it was sent.
    async fn collector() -> (String, Requests) {
        let requests = Requests::default();
        let kept = Arc::clone(&requests);
        let keep = post(|headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers[header::CONTENT_TYPE], "application/x-protobuf");
            kept.lock().unwrap().push(body);
            [(header::CONTENT_TYPE, "application/x-protobuf")]
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/v1/traces", keep);
        tokio::spawn(async { axum::serve(listener, router).await });
        (address, requests)
    }

    fn one_call() -> Workspace {
        let workspace = Workspace::new();
        workspace.folder_of("calls", &["speech/en_hello_world.mp3"]);
        workspace
    }

    const COUNT: &str = "select count(*) from read_parquet('recordings/**/*.parquet')";

    #[tokio::test(flavor = "multi_thread")]
    async fn every_recording_is_a_trace_with_its_stages_and_nothing_personal() {
        let clip = |id| {
            Clip::new(id, cached("fixtures/speech/en_hello_world.mp3"))
                .with("caller_number", json!("+81355500777"))
                .with("caller_name", json!("山田 太郎"))
        };
        let zoom = ZoomServer::builder(vec![clip("a9"), clip("a10")]).start().await.unwrap();
        let (address, requests) = collector().await;
        let mut workspace = Workspace::against(zoom.environment());
        workspace.set(ENDPOINT, address);
        // However little is logged.
        let summary = workspace.run(&["--since", "7d", "--format", "json", "-q"]).expect_code(0).json();
        let requests = requests.lock().unwrap().clone();
        let spans: Vec<Span> = requests.iter().flat_map(|request| spans(request)).collect();

        let recordings: Vec<&Span> = spans.iter().filter(|span| span.name == "recording").collect();
        let ids: BTreeSet<&str> = recordings.iter().map(|span| span.attributes["recording_id"].as_str()).collect();
        assert_eq!((recordings.len(), ids), (2, BTreeSet::from(["a10", "a9"])), "{spans:?}");
        let traces: BTreeSet<&[u8]> = recordings.iter().map(|span| span.trace.as_slice()).collect();
        assert_eq!(traces.len(), 2);
        for recording in recordings {
            assert!(recording.parent.is_empty(), "{recording:?}");
            assert_eq!(recording.attributes["attempt"], "1");
            assert_eq!(recording.attributes["run_id"], summary["run_id"]);
            let inside = spans.iter().filter(|span| span.parent == recording.id && span.trace == recording.trace);
            let inside: BTreeSet<&str> = inside.map(|span| span.name.as_str()).collect();
            assert_eq!(inside, BTreeSet::from(["fetch", "hear", "stage"]));
        }
        let published = spans.iter().filter(|span| span.name == "publication");
        let published: u64 = published.map(|span| span.attributes["recordings"].parse::<u64>().unwrap()).sum();
        assert_eq!(published, 2);

        let allowed = BTreeSet::from(["recording_id", "attempt", "run_id", "dt", "recordings"]);
        for span in &spans {
            assert!(span.attributes.keys().all(|key| allowed.contains(key.as_str())), "{span:?}");
            assert_eq!(span.log_lines, 0, "{span:?}");
            assert_eq!(span.resource["service.name"], "transcribe");
            assert_eq!(span.resource["service.version"], env!("CARGO_PKG_VERSION"));
        }
    }

    #[test]
    fn a_collector_that_is_down_costs_a_warning_and_nothing_else() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut workspace = one_call();
        workspace.set(ENDPOINT, format!("http://{closed}"));
        let outcome = workspace.run(&["--dir", "calls"]).expect_code(0);
        assert_eq!(workspace.query(COUNT), [[json!(1)]]);
        assert_eq!(outcome.stderr.matches("traces were not delivered").count(), 1, "{}", outcome.stderr);
    }

    #[test]
    fn a_collector_that_never_answers_does_not_keep_the_program() {
        // Connections are made and nobody accepts them.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut workspace = one_call();
        workspace.set(ENDPOINT, format!("http://{}", silent.local_addr().unwrap()));
        let outcome = workspace.run(&["--dir", "calls"]).expect_code(0);
        assert_eq!(workspace.query(COUNT), [[json!(1)]]);
        assert!(outcome.stderr.contains("traces were not"), "{}", outcome.stderr);
    }
}
