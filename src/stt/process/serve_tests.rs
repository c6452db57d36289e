use std::io::{BufReader, PipeReader, PipeWriter, pipe};
use std::sync::{Barrier, mpsc};
use std::thread::JoinHandle;

use super::super::super::guard::Confidence;
use super::super::super::{DecodedSegment, Hints, Transcriber};
use super::*;
use crate::config::LogFormat;
use crate::config::settings::{EngineChoice, GuardConfig};
use crate::domain::Language;
use crate::telemetry::{LogSettings, Verbosity};

type Script = dyn Fn(&SpeechWindow, &Watch) -> Result<f64, EngineError> + Send + Sync;

/// An engine whose answer to a window is one segment of the temperature that the script gives.
struct Scripted(Arc<Script>);

impl Transcriber for Scripted {
    fn transcribe(
        &mut self,
        windows: &[SpeechWindow],
        hints: &Hints,
        watch: &Watch,
    ) -> Result<Vec<WindowTranscript>, EngineError> {
        let decode = |window: &SpeechWindow| {
            let temperature = (self.0)(window, watch)?;
            let confidence = Confidence { avg_logprob: -0.2, no_speech_prob: 0.1, compression_ratio: 1.0 };
            let (start_ms, end_ms) = (window.span.start_ms(), window.span.end_ms());
            let (text, words) = ("heard".into(), Vec::new());
            let segment = DecodedSegment { start_ms, end_ms, text, words, tokens: 1, temperature, confidence };
            Ok(WindowTranscript::plain(vec![segment], hints.language.clone()))
        };
        windows.iter().map(decode).collect()
    }

    fn detect_language(
        &mut self,
        _samples: &[f32],
        allowed: &[Language],
        _watch: &Watch,
    ) -> Result<Vec<(Language, f64)>, EngineError> {
        Ok(allowed.iter().map(|language| (language.clone(), 1.0 / 3.0)).collect())
    }
}

/// A server on threads of this process, and the parent's ends of its pipes.
struct Child {
    requests: PipeWriter,
    replies: BufReader<PipeReader>,
    served: JoinHandle<Result<(), ProtocolError>>,
}

fn settings(workers: usize) -> Settings {
    Settings {
        model: "none".into(),
        model_sha256: String::new(),
        engine: EngineChoice::Auto,
        isa: None,
        flash_attention: false,
        beam_size: 1,
        words: true,
        threads: 1,
        workers,
        guard: GuardConfig { temperatures: vec![0.0], ..GuardConfig::default() },
        alive_every: Duration::ZERO,
        logs: LogSettings { format: LogFormat::Text, verbosity: Verbosity::Quiet },
    }
}

fn hints() -> Hints {
    Hints::of(Language("en".into()))
}

fn hello(lanes: usize) -> Hello {
    let (engine, engine_version) = ("scripted".to_owned(), "1".to_owned());
    Hello { engine, engine_version, lanes, is_multilingual: true, languages: vec![Language("en".into())] }
}

impl Child {
    fn unstarted(script: impl Fn(&SpeechWindow, &Watch) -> Result<f64, EngineError> + Send + Sync + 'static) -> Self {
        let ((input, requests), (replies, output)) = (pipe().unwrap(), pipe().unwrap());
        let served = std::thread::spawn(move || {
            let script: Arc<Script> = Arc::new(script);
            serve(input, output, move |settings| {
                let make: EngineFactory = Arc::new(move || Ok(Box::new(Scripted(Arc::clone(&script)))));
                Ok(Loaded { hello: hello(settings.workers), make })
            })
        });
        Self { requests, replies: BufReader::new(replies), served }
    }

    fn with(
        workers: usize,
        script: impl Fn(&SpeechWindow, &Watch) -> Result<f64, EngineError> + Send + Sync + 'static,
    ) -> Self {
        let mut child = Self::unstarted(script);
        child.ask(&Request::Start(Box::new(settings(workers))), 0);
        assert_eq!(child.reply(), Reply::Hello(hello(workers)));
        child
    }

    fn ask(&mut self, request: &Request, samples: usize) {
        self.requests.write_all(&protocol::encode(request, &vec![0.25; samples]).unwrap()).unwrap();
    }

    fn decode(&mut self, id: u64, samples: usize) {
        let span = Span { start: 0, end: samples as u64 };
        self.ask(&Request::Decode { id, channel: Channel::Right, span, voiced: vec![span], hints: hints() }, samples);
    }

    fn reply(&mut self) -> Reply {
        protocol::read(&mut self.replies).unwrap().unwrap().0
    }

    /// The next reply that is no sign of life, and how many of those came before it.
    fn answer(&mut self) -> (Reply, usize) {
        let mut signs = 0;
        loop {
            match self.reply() {
                Reply::Alive { .. } => signs += 1,
                reply => return (reply, signs),
            }
        }
    }

    /// Ends the requests and waits for the server.
    fn end(self) -> Result<(), ProtocolError> {
        drop(self.requests);
        self.served.join().unwrap()
    }
}

fn failed(id: u64, error: EngineError) -> Reply {
    Reply::Failed { id, error }
}

#[test]
fn windows_are_answered_by_their_number_and_signs_of_life_come_from_the_engine_alone() {
    let mut child = Child::with(1, |window, watch| {
        let questions = window.samples.len();
        assert!((0..questions).all(|_| !watch.is_cancelled()));
        Ok(0.2)
    });
    let mut signs = |id, samples| {
        child.decode(id, samples);
        let (reply, signs) = child.answer();
        assert!(matches!(reply, Reply::Text { id: answered, .. } if answered == id), "{reply:?}");
        signs
    };
    let of_the_worker = signs(7, 0);
    assert_eq!(signs(3, 5), of_the_worker + 5);
    child.ask(&Request::Detect { id: 9, allowed: vec![Language("ja".into())] }, 16);
    let probabilities = vec![(Language("ja".into()), 1.0 / 3.0)];
    assert_eq!(child.answer().0, Reply::Languages { id: 9, probabilities });
    assert!(child.end().is_ok());
}

#[test]
fn a_panic_or_a_number_that_is_none_costs_its_window_only() {
    let mut child = Child::with(1, |window, _| match window.samples.len() {
        1 => panic!("scripted panic"),
        2 => Ok(f64::NAN),
        3 => Err(EngineError::Native { code: -6 }),
        _ => Ok(0.0),
    });
    let expected = [EngineError::Panicked, EngineError::NotFinite, EngineError::Native { code: -6 }];
    for (samples, error) in (1..).zip(expected) {
        child.decode(samples as u64, samples);
        assert_eq!(child.answer().0, failed(samples as u64, error));
    }
    child.decode(4, 4);
    assert!(matches!(child.answer().0, Reply::Text { id: 4, .. }));
}

#[test]
fn a_cancelled_window_is_told_so_and_its_neighbour_is_not() {
    let both = Arc::new(Barrier::new(2));
    let mut child = Child::with(2, move |window, watch| {
        both.wait();
        if window.samples.len() == 1 {
            while !watch.is_cancelled() {
                std::thread::yield_now();
            }
            return Err(EngineError::Cancelled);
        }
        Ok(0.0)
    });
    child.decode(1, 1);
    child.decode(2, 2);
    child.ask(&Request::Cancel { id: 55 }, 0);
    assert!(matches!(child.answer().0, Reply::Text { id: 2, .. }));
    child.ask(&Request::Cancel { id: 1 }, 0);
    assert_eq!(child.answer().0, failed(1, EngineError::Cancelled));
}

#[test]
fn the_end_of_the_requests_ends_the_server_in_the_middle_of_a_window() {
    let (tell, told) = mpsc::sync_channel(1);
    let mut child = Child::with(1, move |_, _| {
        tell.send(()).unwrap();
        loop {
            std::thread::park();
        }
    });
    child.decode(1, 1);
    told.recv().unwrap();
    assert!(child.end().is_ok());
}

#[test]
fn requests_that_have_no_place_end_the_server_with_an_error() {
    let is_unexpected = |served| matches!(served, Err(ProtocolError::Unexpected));

    let mut child = Child::unstarted(|_, _| Ok(0.0));
    child.decode(1, 1);
    assert!(is_unexpected(child.end()), "a window before the settings");

    let mut child = Child::with(1, |_, _| Ok(0.0));
    child.ask(&Request::Start(Box::new(settings(1))), 0);
    assert!(is_unexpected(child.end()), "settings for the second time");

    let mut child = Child::with(1, |_, _| {
        loop {
            std::thread::park();
        }
    });
    child.decode(1, 1);
    child.decode(2, 1);
    assert!(is_unexpected(child.end()), "more windows than workers");

    let mut child = Child::with(1, |_, _| Ok(0.0));
    child.requests.write_all(b"not a frame at all").unwrap();
    assert!(matches!(child.end(), Err(ProtocolError::TooLarge { .. })));

    assert!(Child::unstarted(|_, _| Ok(0.0)).end().is_ok(), "a parent that is gone before it said a word");
}
