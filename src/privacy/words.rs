//! Masks the words of a text like the text itself.

use std::ops::Range;

use super::Finding;

/// Where each word stands in `text`, in order; none when one of them does not.
pub(super) fn places(text: &str, words: &[&str]) -> Option<Vec<Range<usize>>> {
    let mut at = 0;
    let place = |word: &&str| {
        let word = word.trim();
        let start = at + text[at..].find(word)?;
        // Only what is no word may be skipped.
        let is_between = !text[at..start].contains(char::is_alphanumeric);
        at = start + word.len();
        is_between.then_some(start..at)
    };
    words.iter().map(place).collect()
}

/// The words at `places` of `text` after its `findings` are masked; none for a word that stays as it is.
///
/// Words that share a finding become one: the first of them has the marker and what is left of all of them, the others
/// are empty. So the words that are not empty, put together, are the masked text.
pub(super) fn masked(
    text: &str,
    places: &[Range<usize>],
    findings: &[Finding],
    mask: impl Fn(&str, &[Finding]) -> String,
) -> Vec<Option<String>> {
    let mut masked = Vec::with_capacity(places.len());
    let mut rest = findings;
    while let Some(place) = places.get(masked.len()) {
        rest = &rest[rest.partition_point(|finding| finding.range.end <= place.start)..];
        let mut end = place.end;
        let mut hits = 0;
        let mut last = masked.len();
        // Words and findings that overlap each other in turn.
        loop {
            let (hits_before, last_before) = (hits, last);
            hits = rest.partition_point(|finding| finding.range.start < end);
            let covered = rest[..hits].last().map_or(end, |finding| finding.range.end);
            while let Some(next) = places.get(last + 1).filter(|next| next.start < covered) {
                last += 1;
                end = next.end;
            }
            if (hits, last) == (hits_before, last_before) {
                break;
            }
        }
        if hits == 0 {
            masked.push(None);
            continue;
        }
        let start = place.start.min(rest[0].range.start);
        let end = end.max(rest[hits - 1].range.end);
        let inside = |finding: &Finding| Finding {
            range: finding.range.start - start..finding.range.end - start,
            kind: finding.kind,
        };
        let inside: Vec<Finding> = rest[..hits].iter().map(inside).collect();
        let swallowed = last - masked.len();
        masked.push(Some(mask(&text[start..end], &inside)));
        masked.extend(std::iter::repeat_n(Some(String::new()), swallowed));
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn masked_at(text: &str, words: &[&str], ranges: &[Range<usize>]) -> Vec<Option<String>> {
        let findings: Vec<Finding> =
            ranges.iter().map(|range| Finding { range: range.clone(), kind: Kind::Phone }).collect();
        masked(text, &places(text, words).unwrap(), &findings, |text, findings| {
            let mut text = text.to_owned();
            for finding in findings.iter().rev() {
                text.replace_range(finding.range.clone(), "#");
            }
            text
        })
    }

    #[test]
    fn words_of_one_finding_become_one_word() {
        let words = masked_at("call 555 0132, now", &["call", "555", "0132,", "now"], &[5..13, 15..18]);
        assert_eq!(words, [None, Some("#,".to_owned()), Some(String::new()), Some("#".to_owned())]);
    }

    #[test]
    fn findings_that_share_a_word_become_one_word() {
        let words = masked_at("a bc de f", &["a", "bc", "de", "f"], &[0..3, 3..6]);
        assert_eq!(words, [Some("##e".to_owned()), Some(String::new()), Some(String::new()), None]);
    }

    #[test]
    fn words_that_are_not_in_the_text_have_no_place() {
        assert_eq!(places("one two", &["one", "too"]), None);
        assert_eq!(places("one two three", &["one", "three"]), None);
        assert_eq!(places("one, two", &["one", "two"]), Some(vec![0..3, 5..8]));
    }
}
