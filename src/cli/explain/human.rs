//! The explanation to read: what is known of the recording, its spans in order, and what the reasons mean.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use super::moment::shown;
use super::spans::{Fate, Span};
use super::wording::{because, review, wording};
use super::{Explained, json};
use crate::cli::lines::{plain, wrap};
use crate::domain::Channel;
use crate::lake::HeldSegment;

/// Lines of at most a number of columns.
struct Page {
    width: usize,
    text: String,
}

impl Page {
    /// Adds a paragraph that begins with `first` and goes on below it. Both are as wide as each other.
    fn paragraph(&mut self, first: &str, text: &str) {
        let room = self.width.saturating_sub(first.len());
        for (index, line) in wrap(&plain(text), room).iter().enumerate() {
            let margin = if index == 0 { first.to_owned() } else { " ".repeat(first.len()) };
            self.text.push_str(&format!("{margin}{line}\n"));
        }
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }
}

pub(super) fn text(explained: &Explained<'_>, zone: &TimeZone, width: usize) -> String {
    let mut page = Page { width, text: String::new() };
    head(&mut page, explained, zone);
    let digits = explained.spans.iter().map(|span| shown(span.end_ms).len()).max().unwrap_or(0);
    for span in &explained.spans {
        page.gap();
        show(&mut page, span, digits);
    }
    meanings(&mut page, explained);
    page.text
}

fn head(page: &mut Page, explained: &Explained<'_>, zone: &TimeZone) {
    let transcript = explained.transcript;
    let local = |at: jiff::Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    page.paragraph("recording   ", transcript.recording_id.as_str());
    if let Some(started_at) = transcript.started_at {
        page.paragraph("started     ", &local(started_at));
    }
    let channels = match transcript.channel_mode.as_str() {
        "stereo" => "two channels, decoded apart",
        "folded" => "channels that sound alike, folded into one",
        _ => "one channel",
    };
    page.paragraph("length      ", &format!("{}, {channels}", shown(transcript.audio_ms)));
    let language = match (&transcript.language, transcript.language_prob, transcript.language_margin) {
        (Some(language), Some(probability), Some(margin)) => {
            format!("{language}, probability {probability:.2}, {margin:.2} more than the runner-up")
        }
        (Some(language), ..) => language.clone(),
        (None, ..) => "none: nobody speaks".into(),
    };
    page.paragraph("language    ", &language);
    let engine = format!("{} {}, model {}", transcript.engine, transcript.engine_version, transcript.model);
    page.paragraph("engine      ", &engine);
    page.paragraph("transcribed ", &local(transcript.transcribed_at));
    for reason in &transcript.review_reasons {
        page.paragraph("review      ", &format!("{reason}: {}", review(reason)));
    }
    let fates = || transcript.segments.iter().map(Fate::of);
    let kept = fates().filter(|fate| *fate == Fate::Kept).count();
    let silent = fates().filter(|fate| matches!(fate, Fate::NotDecoded(_))).count();
    let suppressed = transcript.segments.len() - kept - silent;
    page.paragraph("segments    ", &format!("{kept} kept, {suppressed} suppressed, {silent} not decoded"));
    if let Some(at_ms) = explained.at_ms {
        page.paragraph("shown       ", &format!("around {}", shown(at_ms)));
    }
}

fn show(page: &mut Page, span: &Span<'_>, digits: usize) {
    let times = format!("{:>digits$} - {:>digits$}  ", shown(span.start_ms), shown(span.end_ms));
    let channel = match span.channel {
        Channel::Mono => String::new(),
        side => format!("{:<5}  ", side.as_str()),
    };
    let margin = times + &channel;
    if let [segment] = span.segments.as_slice()
        && let Fate::NotDecoded(code) = Fate::of(segment)
    {
        page.paragraph(&margin, &format!("not decoded: {}", because(code)));
        return;
    }
    page.paragraph(&margin, &how_often(span));
    for segment in &span.segments {
        show_segment(page, segment, digits);
    }
}

fn how_often(span: &Span<'_>) -> String {
    let reasons: Vec<String> = span.retry_reasons().into_iter().map(because).collect();
    match span.window.map(|window| window.passes) {
        None => "decoded (by a version that did not write down its windows)".into(),
        Some(passes) if passes <= 1 && reasons.is_empty() => "decoded once".into(),
        Some(passes) if reasons.is_empty() => format!("decoded {passes} times"),
        Some(passes) => format!("decoded {passes} times; again because {}", reasons.join(", and because ")),
    }
}

fn show_segment(page: &mut Page, segment: &HeldSegment, digits: usize) {
    let times = format!("  {:>digits$} - {:>digits$}  ", shown(segment.start_ms), shown(segment.end_ms));
    let speaker = segment.speaker.as_deref().map(|speaker| format!(", {speaker} speaks")).unwrap_or_default();
    let (verdict, text) = match Fate::of(segment) {
        Fate::Kept => (format!("kept{speaker}"), segment.text.clone()),
        Fate::Suppressed(code) => (format!("SUPPRESSED: {}", because(code)), format!("[{}]", segment.text.trim())),
        Fate::NotDecoded(code) => (format!("not decoded: {}", because(code)), String::new()),
    };
    page.paragraph(&times, &verdict);
    page.paragraph("      ", &text);
    page.paragraph("      ", &numbers(segment));
    if !segment.objections.is_empty() {
        page.paragraph("      ", &format!("objections: {}", segment.objections.join(", ")));
    }
    if let Some(first) = &segment.first_text {
        let model = segment.first_model.as_deref().unwrap_or("the first model");
        let heard = if first.trim() == segment.text.trim() {
            format!("{model} heard this; a second model that was asked did no better")
        } else {
            format!("{model} heard first: {first}")
        };
        page.paragraph("      ", &heard);
    }
}

fn numbers(segment: &HeldSegment) -> String {
    let numbers = [
        ("avg_logprob", segment.avg_logprob),
        ("no_speech_prob", segment.no_speech_prob),
        ("compression_ratio", segment.compression_ratio),
        ("temperature", segment.temperature),
    ];
    let known = numbers.into_iter().filter_map(|(name, number)| Some(format!("{name} {:.2}", number?)));
    known.collect::<Vec<_>>().join(", ")
}

/// What the reasons mean that were shown, and which keys decide.
fn meanings(page: &mut Page, explained: &Explained<'_>) {
    let codes: BTreeSet<&str> = explained.spans.iter().flat_map(json::codes).collect();
    let known: Vec<_> = codes.into_iter().filter_map(|code| Some((code, wording(code)?))).collect();
    if known.is_empty() {
        return;
    }
    page.gap();
    for (code, wording) in known {
        page.paragraph("", &format!("{code}: {}", wording.meaning));
        let settings: Vec<String> = wording.keys.iter().filter_map(|key| explained.setting(key)).collect();
        if !settings.is_empty() {
            page.paragraph("    ", &format!("now {}", settings.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::explain::spans::spans;
    use crate::cli::export::sample::{segment, transcript};
    use crate::cli::lines::columns;
    use crate::lake::{HeldTranscript, HeldWindow};

    fn call() -> HeldTranscript {
        let mut silence = segment(0, 2_000, "");
        silence.suppressed = Some("non_speech".into());
        let window = Some(HeldWindow { start_ms: 2_000, end_ms: 9_000, passes: 3 });
        let mut kept = segment(
            2_100,
            4_000,
            "こんにちは、山田商事の佐藤でございます。\u{1b}[31m本日はどのようなご用件でしょうか。",
        );
        kept.window = window;
        kept.retry_reasons = vec!["compression_ratio".into()];
        let mut invented = segment(4_000, 9_000, "ご視聴ありがとうございました");
        invented.window = window;
        invented.suppressed = Some("invented_phrase".into());
        invented.objections = vec!["invented_phrase".into(), "from_the_future".into()];
        invented.first_text = Some("ご視聴".into());
        invented.first_model = Some("tiny".into());
        let mut call = transcript(vec![silence, kept, invented]);
        call.review_reasons = vec!["audio_damaged".into()];
        call
    }

    fn explained<'a>(call: &'a HeldTranscript, limit: &'a toml::Value) -> Explained<'a> {
        let settings = std::collections::BTreeMap::from([("stt.max_compression_ratio", limit)]);
        Explained { transcript: call, at_ms: None, spans: spans(call), settings }
    }

    #[test]
    fn each_span_says_what_became_of_it_and_why() {
        let call = call();
        let text = text(&explained(&call, &2.4.into()), &TimeZone::UTC, 100);
        let expected = "\
recording   aa
started     2026-11-02 01:15:04 UTC
length      0:10.0, one channel
language    en, probability 0.90, 0.80 more than the runner-up
engine      whisper.cpp 1.8.3, model base
transcribed 2026-11-07 01:02:03 UTC
review      audio_damaged: parts of the file are damaged; silence stands in their place
segments    1 kept, 1 suppressed, 1 not decoded

0:00.0 - 0:02.0  not decoded: nobody speaks

0:02.0 - 0:09.0  decoded 3 times; again because the text repeats itself
  0:02.1 - 0:04.0  kept
      こんにちは、山田商事の佐藤でございます。 [31m本日はどのようなご用件でしょうか。
      avg_logprob -0.25, no_speech_prob 0.02, compression_ratio 1.20, temperature 0.00
  0:04.0 - 0:09.0  SUPPRESSED: Whisper is known to invent the phrase
      [ご視聴ありがとうございました]
      avg_logprob -0.25, no_speech_prob 0.02, compression_ratio 1.20, temperature 0.00
      objections: invented_phrase, from_the_future
      tiny heard first: ご視聴

compression_ratio: text that repeats itself compresses well: its bytes over its bytes after
compression (compression_ratio) are above the limit
    now stt.max_compression_ratio = 2.4
invented_phrase: the phrase is one that Whisper writes into silence and noise, and other signs of
speech are weak too
non_speech: voice activity gave every frame a probability of voice below the limit, so the span was
not decoded
";
        assert_eq!(text, expected);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let call = call();
        for width in [40, 63, 80] {
            let text = text(&explained(&call, &2.4.into()), &TimeZone::UTC, width);
            assert!(text.lines().all(|line| columns(line) <= width), "{text}");
        }
    }
}
