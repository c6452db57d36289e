//! The prompt of every window: names and words that may occur, so that the engine spells them as their owners do.
//!
//! Whisper takes the prompt for the text that came before. A list of terms works; instructions do not.

use std::io::{self, Read};
use std::path::Path;

/// The longest vocabulary file.
const MAX_BYTES: u64 = 1 << 20;
/// The longest prompt, in characters: what does not fit into the decoder would be of no use.
const MAX_CHARS: usize = 600;

/// Reads a vocabulary: a term a line; `#` at the start of a line or after a space begins a comment.
///
/// # Errors
/// When the file cannot be read, is no UTF-8 or is longer than a mebibyte.
pub fn read_vocabulary(path: &Path) -> io::Result<Vec<String>> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a vocabulary has at most 1 MiB"));
    }
    let term = |line: &str| {
        // "C#" is a term: a comment begins a line or follows a space.
        let end = if line.starts_with('#') { Some(0) } else { line.find(" #").or_else(|| line.find("\t#")) };
        line[..end.unwrap_or(line.len())].trim().to_owned()
    };
    Ok(text.trim_start_matches('\u{feff}').lines().map(term).filter(|term| !term.is_empty()).collect())
}

/// The prompt for a call in which these names may occur; `None` when there is nothing to expect.
///
/// Names come last, nearest to the text, and are never left out for the vocabulary. Each term stands once.
#[must_use]
pub fn compose(vocabulary: &[String], names: &[String]) -> Option<String> {
    let mut terms: Vec<String> = Vec::new();
    let mut chars = 0;
    for term in names.iter().chain(vocabulary) {
        let term = cleaned(term);
        let length = term.chars().count() + 2;
        if !term.is_empty() && chars + length <= MAX_CHARS && !terms.contains(&term) {
            chars += length;
            terms.push(term);
        }
    }
    if terms.is_empty() {
        return None;
    }
    terms.reverse();
    let is_wide = |c: char| c >= '\u{2e80}' && c.is_alphanumeric();
    let wide = terms.iter().filter(|term| term.chars().any(is_wide)).count();
    let (separator, end) = if 2 * wide > terms.len() { ("、", "。") } else { (", ", ".") };
    Some(terms.join(separator) + end)
}

/// One line without control characters: names come from outside.
fn cleaned(term: &str) -> String {
    let words: Vec<&str> =
        term.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(terms: &[&str]) -> Vec<String> {
        terms.iter().map(|term| (*term).to_owned()).collect()
    }

    #[test]
    fn names_come_last_and_nothing_stands_twice() {
        let prompt = compose(&strings(&["Contoso", "loyalty card"]), &strings(&["Aiko  Tanaka", "Contoso", "\u{7}"]));
        assert_eq!(prompt.as_deref(), Some("loyalty card, Contoso, Aiko Tanaka."));
        assert_eq!(compose(&[], &[]), None);
    }

    #[test]
    fn japanese_terms_are_listed_the_japanese_way() {
        let prompt = compose(&strings(&["会員カード"]), &strings(&["田中 愛子"]));
        assert_eq!(prompt.as_deref(), Some("会員カード、田中 愛子。"));
    }

    #[test]
    fn a_long_vocabulary_is_cut_and_the_names_stay() {
        let many: Vec<String> = (0..1_000).map(|n| format!("term{n}")).collect();
        let prompt = compose(&many, &strings(&["Aiko Tanaka"])).unwrap();
        assert!(prompt.chars().count() <= MAX_CHARS + 1);
        assert!(prompt.ends_with("term0, Aiko Tanaka."));
    }

    #[test]
    fn a_vocabulary_has_a_term_a_line_and_comments() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vocabulary.txt");
        std::fs::write(&path, "\u{feff}Contoso # the company\r\n\n# products\nC#\n  会員カード  \n").unwrap();
        assert_eq!(read_vocabulary(&path).unwrap(), ["Contoso", "C#", "会員カード"]);
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read_vocabulary(&path).is_err());
        assert!(read_vocabulary(&folder.path().join("missing")).is_err());
    }
}
