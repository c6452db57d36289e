//! Subtitles as SubRip and as WebVTT.

use std::fmt::Write;

use super::clock;
use super::cues::{Names, cues};
use crate::lake::HeldTranscript;

/// SubRip: number, times with a comma, lines, an empty line. It knows no escapes and no speakers: these are part of the
/// text, and an arrow in the text is another one than that between the times.
pub(super) fn srt(transcript: &HeldTranscript) -> String {
    let mut srt = String::new();
    for (number, cue) in (1..).zip(cues(transcript, Names::Written)) {
        let text = cue.lines.join("\n").replace("-->", "→");
        let (start, end) = (clock(cue.start_ms, Some(',')), clock(cue.end_ms, Some(',')));
        // Writing to a string does not fail.
        let _written = write!(srt, "{number}\n{start} --> {end}\n{text}\n\n");
    }
    srt
}

/// WebVTT (<https://www.w3.org/TR/webvtt1/>), with a voice tag where it is known who speaks.
pub(super) fn vtt(transcript: &HeldTranscript) -> String {
    let mut vtt = String::from("WEBVTT\n");
    for cue in cues(transcript, Names::Left) {
        let voice = cue.speaker.as_deref().map(|speaker| format!("<v {}>", escaped(speaker))).unwrap_or_default();
        let text = escaped(&cue.lines.join("\n"));
        let (start, end) = (clock(cue.start_ms, Some('.')), clock(cue.end_ms, Some('.')));
        let _written = write!(vtt, "\n{start} --> {end}\n{voice}{text}\n");
    }
    vtt
}

/// Nothing of the text is markup, and no arrow is left.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::export::sample::{on, segment, transcript};
    use crate::domain::Channel;

    #[test]
    fn subrip_numbers_its_subtitles() {
        let said = transcript(vec![segment(1_000, 2_500, "Hello --> there."), segment(4_000, 5_000, "Bye.")]);
        let expected = "1\n00:00:01,000 --> 00:00:02,500\nHello → there.\n\n\
                        2\n00:00:04,000 --> 00:00:05,000\nBye.\n\n";
        assert_eq!(srt(&said), expected);
    }

    #[test]
    fn webvtt_escapes_its_text_and_its_speakers() {
        let mut hostile = on(Channel::Left, segment(0, 2_000, "a --> b\n\n<v Eve>R&D\u{1b}[2J"));
        hostile.speaker = Some("O'Neil > <Co>\n&".into());
        let expected = "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n\
                        <v O'Neil &gt; &lt;Co&gt; &amp;>a --&gt; b &lt;v Eve&gt;R&amp;D [2J\n";
        assert_eq!(vtt(&transcript(vec![hostile])), expected);
    }

    #[test]
    fn a_recording_in_which_nobody_speaks_has_no_subtitles() {
        let mut invented = segment(0, 1_000, "Thanks for watching.");
        invented.suppressed = Some("invented_phrase".into());
        let silent = transcript(vec![invented]);
        assert_eq!((srt(&silent).as_str(), vtt(&silent).as_str()), ("", "WEBVTT\n"));
    }
}
