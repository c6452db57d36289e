//! The hits to read: of each the call, what was said around it, and the command that shows more.

use jiff::tz::TimeZone;

use super::Answer;
use crate::cli::explain::moment::shown;
use crate::cli::lines::{columns, plain};
use crate::lake::search::{Found, Hit, Line, Party, Query};

const BOLD: &str = "\u{1b}[1m";
const USUAL: &str = "\u{1b}[0m";

pub(super) fn text(answer: &Answer, zone: &TimeZone, highlight: bool) -> String {
    let Answer { query, found, window } = answer;
    if found.hits.is_empty() {
        return nothing(found, window);
    }
    let mut text = String::new();
    for hit in &found.hits {
        show(hit, query, zone, highlight, &mut text);
    }
    let hits = if found.hits.len() == 1 { "1 hit" } else { &format!("{} hits", found.hits.len()) };
    text.push_str(hits);
    text.push_str(&format!(" in calls {window}"));
    text.push_str(if found.has_more { "; there are more: raise --limit, or name fewer days\n" } else { "\n" });
    text
}

fn nothing(found: &Found, window: &str) -> String {
    match found.days.as_slice() {
        [] => format!("nothing found: the lake holds no calls {window}\n"),
        [day] => format!("nothing found in calls {window}; of these days the lake holds {day}\n"),
        [first, .., last] => {
            let count = found.days.len();
            format!("nothing found in calls {window}; of these days the lake holds {count}, {first} to {last}\n")
        }
    }
}

fn show(hit: &Hit, query: &Query, zone: &TimeZone, highlight: bool, text: &mut String) {
    let started = hit.started_at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string();
    let parties = [party(&hit.caller), party(&hit.callee)];
    text.push_str(&format!("{started}  {}{}\n", hit.recording_id, between(&parties)));
    let lines = || hit.before.iter().chain([&hit.line]).chain(&hit.after);
    let wide = |name: fn(&Line) -> String| lines().map(|line| columns(&name(line))).max().unwrap_or(0);
    let (at_width, who_width) = (wide(|line| shown(line.start_ms)), wide(who));
    let mut add = |mark: char, line: &Line, said: &str| {
        let (at, who) = (shown(line.start_ms), who(line));
        let at = " ".repeat(at_width - columns(&at)) + &at;
        let who = if who_width == 0 { who } else { format!("{who}{}  ", " ".repeat(who_width - columns(&who))) };
        text.push_str(&format!("{mark} {at}  {who}{said}\n"));
    };
    for line in &hit.before {
        add(' ', line, &plain(&line.text));
    }
    add('>', &hit.line, &marked(query, &plain(&hit.line.text), highlight));
    for line in &hit.after {
        add(' ', line, &plain(&line.text));
    }
    text.push_str(&format!("  transcribe explain {} --at {}\n\n", hit.recording_id, shown(hit.line.start_ms)));
}

/// Who called whom, as far as it is known.
fn between(parties: &[Option<String>; 2]) -> String {
    match parties {
        [None, None] => String::new(),
        [Some(caller), None] => format!("  from {caller}"),
        [None, Some(callee)] => format!("  to {callee}"),
        [Some(caller), Some(callee)] => format!("  {caller} to {callee}"),
    }
}

fn party(party: &Party) -> Option<String> {
    let known = |text: &Option<String>| text.as_deref().map(plain).filter(|text| !text.is_empty());
    match (known(&party.name), known(&party.number)) {
        (Some(name), Some(number)) => Some(format!("{name} ({number})")),
        (name, number) => name.or(number),
    }
}

/// Who speaks, or on which side of the call.
fn who(line: &Line) -> String {
    let name = line.speaker.as_deref().map(plain).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| if line.channel == "mono" { String::new() } else { plain(&line.channel) })
}

fn marked(query: &Query, text: &str, highlight: bool) -> String {
    if !highlight {
        return text.to_owned();
    }
    let mut marked = String::new();
    let mut from = 0;
    for span in query.spans(text) {
        marked.push_str(&[&text[from..span.start], BOLD, &text[span.clone()], USUAL].concat());
        from = span.end;
    }
    marked + &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(start_ms: i64, channel: &str, text: &str) -> Line {
        Line { start_ms, end_ms: start_ms + 1_000, channel: channel.into(), speaker: None, text: text.into() }
    }

    fn answer(hits: Vec<Hit>, days: &[&str]) -> Answer {
        let days = days.iter().map(|day| day.parse().unwrap()).collect();
        let found = Found { hits, has_more: true, days };
        Answer { query: Query::parse(&["請求", "plan"]).unwrap(), found, window: "from A to B".into() }
    }

    fn hit() -> Hit {
        Hit {
            dt: "2026-11-02".into(),
            recording_id: "0f3a".into(),
            call_id: None,
            started_at: "2026-11-02T01:15:04Z".parse().unwrap(),
            caller: Party { name: Some("山田\u{1b}[2J".into()), number: Some("+81355500123".into()) },
            callee: Party { name: None, number: Some("801".into()) },
            line: line(65_000, "left", "新しいplanの請求書です\u{1b}[0m"),
            before: vec![line(4_000, "right", "はい。")],
            after: Vec::new(),
        }
    }

    #[test]
    fn a_hit_says_who_when_and_where_and_how_to_see_more() {
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        let text = text(&answer(vec![hit()], &["2026-11-02"]), &tokyo, false);
        let expected = "2026-11-02 10:15 JST  0f3a  山田 [2J (+81355500123) to 801\n\
                        \x20 0:04.0  right  はい。\n\
                        > 1:05.0  left   新しいplanの請求書です [0m\n\
                        \x20 transcribe explain 0f3a --at 1:05.0\n\n\
                        1 hit in calls from A to B; there are more: raise --limit, or name fewer days\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn on_a_terminal_what_was_found_is_bold_and_nothing_else_moves() {
        let text = text(&answer(vec![hit()], &["2026-11-02"]), &TimeZone::UTC, true);
        assert!(text.contains("新しい\u{1b}[1mplan\u{1b}[0mの\u{1b}[1m請求\u{1b}[0m書です [0m\n"), "{text:?}");
        assert_eq!(text.matches('\u{1b}').count(), 4);
    }

    #[test]
    fn without_a_hit_it_says_in_one_sentence_where_it_looked() {
        let sentence = |days: &[&str]| text(&answer(Vec::new(), days), &TimeZone::UTC, true);
        assert_eq!(sentence(&[]), "nothing found: the lake holds no calls from A to B\n");
        let one = "nothing found in calls from A to B; of these days the lake holds 2026-11-02\n";
        assert_eq!(sentence(&["2026-11-02"]), one);
        let several = "nothing found in calls from A to B; of these days the lake holds 2, 2026-11-02 to 2026-11-04\n";
        assert_eq!(sentence(&["2026-11-02", "2026-11-04"]), several);
    }
}
