//! The patterns that the operator configures.

use std::ops::Range;

use regex::Regex;

use super::{Finding, Kind, merged};

/// A pattern of the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Letters, digits, dashes and underscores; the marker is this in upper case.
    pub name: String,
    /// In the syntax of the `regex` crate.
    pub regex: String,
}

/// Why a pattern cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadPattern {
    /// The regular expression cannot be read.
    #[error("pattern {name:?} is no regular expression that is known here")]
    Syntax {
        /// Of the pattern, as configured.
        name: String,
        /// What is wrong with it.
        #[source]
        source: Box<regex::Error>,
    },
    /// It would mask nothing everywhere.
    #[error("pattern {name:?} matches where there is nothing")]
    MatchesNothing {
        /// Of the pattern, as configured.
        name: String,
    },
    /// The name does not fit into a marker.
    #[error("{name:?} is no name of a pattern: 1 to 32 letters, digits, dashes and underscores, the first a letter")]
    Name {
        /// As configured.
        name: String,
    },
    /// A kind or an earlier pattern has the same marker.
    #[error("the name {name:?} is taken")]
    NameTaken {
        /// As configured.
        name: String,
    },
}

/// The patterns ready for use, and their markers.
pub(super) fn compiled(patterns: &[Pattern], taken: &[&str]) -> Result<(Vec<Regex>, Vec<String>), BadPattern> {
    let mut regexes = Vec::with_capacity(patterns.len());
    let mut markers: Vec<String> = Vec::with_capacity(patterns.len());
    for Pattern { name, regex } in patterns {
        let is_name = (1..=32).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !is_name {
            return Err(BadPattern::Name { name: name.clone() });
        }
        let marker = format!("[{}]", name.to_ascii_uppercase());
        if taken.contains(&marker.as_str()) || markers.contains(&marker) {
            return Err(BadPattern::NameTaken { name: name.clone() });
        }
        let syntax = |source| BadPattern::Syntax { name: name.clone(), source: Box::new(source) };
        let regex = Regex::new(regex).map_err(syntax)?;
        if regex.is_match("") {
            return Err(BadPattern::MatchesNothing { name: name.clone() });
        }
        regexes.push(regex);
        markers.push(marker);
    }
    Ok((regexes, markers))
}

/// Matches of the patterns; one that touches a marker is none.
pub(super) fn matches(text: &str, patterns: &[Regex], markers: &[String]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, pattern) in patterns.iter().enumerate() {
        let ranges = pattern.find_iter(text).map(|found| found.range()).filter(|range| !range.is_empty());
        found.extend(ranges.map(|range| Finding { range, kind: Kind::Pattern(index) }));
    }
    if !found.is_empty() {
        let marked = marked(text, markers);
        found.retain(|finding| {
            let next = marked.partition_point(|marked| marked.range.end <= finding.range.start);
            marked.get(next).is_none_or(|marked| marked.range.start >= finding.range.end)
        });
    }
    found
}

/// Where markers stand already.
fn marked(text: &str, markers: &[String]) -> Vec<Finding> {
    let places = markers.iter().flat_map(|marker| text.match_indices(marker.as_str()));
    let range = |(at, marker): (usize, &str)| -> Range<usize> { at..at + marker.len() };
    merged(places.map(|place| Finding { range: range(place), kind: Kind::Phone }).collect())
}
