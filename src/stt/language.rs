//! Finds the language of a recording by a vote of its first speech windows.
//!
//! A call starts with ring tones and announcements, so one window is a bad witness. Up to [`MAX_VOTES`] windows vote;
//! one clear vote is enough. Windows of both channels vote together.

use crate::domain::{Language, LanguageVerdict};

/// How many speech windows are asked at most.
pub const MAX_VOTES: usize = 3;
/// A vote whose winner leads by this much needs no second opinion.
const CLEAR_MARGIN: f64 = 0.8;

/// The votes of one recording so far.
#[derive(Debug, Clone, Default)]
pub struct Ballot {
    /// Summed probability of each language, in the order of the first vote.
    sums: Vec<(Language, f64)>,
    votes: usize,
}

impl Ballot {
    /// Adds one window's probabilities: of the allowed languages only, renormalised over them here.
    /// A vote without any probability (nothing allowed, or not a number) does not count.
    pub fn vote(&mut self, probabilities: &[(Language, f64)]) {
        let usable = |probability: f64| if probability.is_finite() { probability.max(0.0) } else { 0.0 };
        let total: f64 = probabilities.iter().map(|(_, probability)| usable(*probability)).sum();
        self.votes += 1;
        if total <= 0.0 {
            return;
        }
        for (language, probability) in probabilities {
            let share = usable(*probability) / total;
            match self.sums.iter_mut().find(|(known, _)| known == language) {
                Some((_, sum)) => *sum += share,
                None => self.sums.push((language.clone(), share)),
            }
        }
    }

    /// Whether no further window needs to be asked.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.votes >= MAX_VOTES
            || (self.votes == 1 && self.verdict().is_some_and(|verdict| verdict.margin >= CLEAR_MARGIN))
    }

    /// The winner so far; equal sums go to the language that comes first in the alphabet. `None` before any vote.
    #[must_use]
    pub fn verdict(&self) -> Option<LanguageVerdict> {
        winner(&self.sums, self.sums.iter().map(|(_, sum)| sum).sum())
    }
}

/// What all windows of a recording say about its language, each by the length of its speech.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    shares: Vec<(Language, f64)>,
    total: f64,
}

impl Tally {
    /// Adds a window of so many samples; one without probabilities does not count.
    pub fn count(&mut self, heard: &[(Language, f64)], samples: u64) {
        let sum: f64 = heard.iter().map(|(_, share)| share.max(0.0)).sum();
        if sum <= 0.0 {
            return;
        }
        let weight = f64::from(u32::try_from(samples).unwrap_or(u32::MAX));
        self.total += weight;
        for (language, share) in heard {
            let share = weight * share.max(0.0) / sum;
            match self.shares.iter_mut().find(|(known, _)| known == language) {
                Some((_, all)) => *all += share,
                None => self.shares.push((language.clone(), share)),
            }
        }
    }

    /// The winner; `None` when no window counted.
    #[must_use]
    pub fn verdict(&self) -> Option<LanguageVerdict> {
        winner(&self.shares, self.total)
    }
}

/// The greatest share; equal ones go to the language that comes first in the alphabet.
fn winner(shares: &[(Language, f64)], total: f64) -> Option<LanguageVerdict> {
    let mut ranked: Vec<_> = shares.iter().collect();
    ranked.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
    let (language, best) = ranked.first()?;
    let runner_up = ranked.get(1).map_or(0.0, |(_, share)| *share);
    Some(LanguageVerdict { language: language.clone(), probability: best / total, margin: (best - runner_up) / total })
}

/// The language that a window is in although another one was expected: the likeliest of `heard`, when it leads the
/// expected one by `margin` at least. `None` when the expected one may well be right.
#[must_use]
pub fn other_than(expected: &Language, heard: &[(Language, f64)], margin: f64) -> Option<Language> {
    let of_expected = heard.iter().find(|(language, _)| language == expected).map_or(0.0, |(_, share)| *share);
    let (likeliest, share) = heard.iter().max_by(|(a, x), (b, y)| x.total_cmp(y).then_with(|| b.cmp(a)))?;
    (likeliest != expected && share - of_expected >= margin).then(|| likeliest.clone())
}

/// The verdict where there is nothing to find out.
#[must_use]
pub fn certain(language: Language) -> LanguageVerdict {
    LanguageVerdict { language, probability: 1.0, margin: 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probabilities(pairs: &[(&str, f64)]) -> Vec<(Language, f64)> {
        pairs.iter().map(|(code, probability)| (Language((*code).into()), *probability)).collect()
    }

    #[test]
    fn a_clear_first_vote_decides() {
        let mut ballot = Ballot::default();
        ballot.vote(&probabilities(&[("en", 0.95), ("ja", 0.05)]));
        assert!(ballot.is_decided());
        let verdict = ballot.verdict().unwrap();
        assert_eq!(verdict.language.as_str(), "en");
        assert!((verdict.margin - 0.9).abs() < 1e-9);
    }

    #[test]
    fn a_weak_first_vote_is_overruled_by_the_next_windows() {
        let mut ballot = Ballot::default();
        ballot.vote(&probabilities(&[("cy", 0.5), ("ja", 0.4), ("en", 0.1)]));
        assert!(!ballot.is_decided());
        ballot.vote(&probabilities(&[("ja", 0.99), ("cy", 0.01)]));
        assert!(!ballot.is_decided(), "only the first vote can decide alone");
        ballot.vote(&probabilities(&[("ja", 0.9), ("en", 0.1)]));
        assert!(ballot.is_decided());
        let verdict = ballot.verdict().unwrap();
        assert_eq!(verdict.language.as_str(), "ja");
        assert!((verdict.probability - 2.29 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn probabilities_are_renormalised_over_what_is_allowed() {
        let mut ballot = Ballot::default();
        ballot.vote(&probabilities(&[("en", 0.03), ("ja", 0.01)]));
        let verdict = ballot.verdict().unwrap();
        assert!((verdict.probability - 0.75).abs() < 1e-9);
        assert!((verdict.margin - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_vote_without_numbers_counts_for_nothing() {
        let mut ballot = Ballot::default();
        ballot.vote(&probabilities(&[("en", f64::NAN)]));
        assert_eq!(ballot.verdict(), None);
        ballot.vote(&probabilities(&[("de", 1.0)]));
        assert_eq!(ballot.verdict().unwrap().language.as_str(), "de");
    }

    #[test]
    fn a_window_changes_its_language_only_for_a_clear_lead() {
        let english = Language("en".into());
        let other = |pairs: &[(&str, f64)]| other_than(&english, &probabilities(pairs), 0.6);
        assert_eq!(other(&[("en", 0.1), ("ja", 0.9)]), Some(Language("ja".into())));
        assert_eq!(other(&[("en", 0.3), ("ja", 0.7)]), None);
        assert_eq!(other(&[("en", 0.9), ("ja", 0.1)]), None);
        assert_eq!(other(&[]), None);
    }

    #[test]
    fn equal_sums_always_give_the_same_answer() {
        for order in [["nl", "de"], ["de", "nl"]] {
            let mut ballot = Ballot::default();
            ballot.vote(&probabilities(&[(order[0], 0.5), (order[1], 0.5)]));
            assert_eq!(ballot.verdict().unwrap().language.as_str(), "de");
        }
    }
}
