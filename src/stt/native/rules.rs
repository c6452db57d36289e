//! Which token may follow: the rules of text and times that OpenAI's decoder and whisper.cpp have, and one of our own.

use super::Token;
use super::vocabulary::Vocabulary;

const NEVER: f32 = f32::NEG_INFINITY;
/// The first time of a window is at most 1 s, in steps of 20 ms.
const LATEST_START: usize = 50;

/// The log probability of each token after `said`, those that may not follow left out. `logits` are used up.
pub(super) fn log_probabilities(vocabulary: &Vocabulary, mut logits: Vec<f32>, said: &[Token]) -> Vec<f32> {
    let Vocabulary { end, first_time, .. } = *vocabulary;
    for token in &vocabulary.forbidden {
        logits[*token] = NEVER;
    }
    if said.is_empty() {
        // A text begins with a time, which the sums below see to, and never with nothing.
        logits[end] = NEVER;
        vocabulary.space.into_iter().for_each(|space| logits[space] = NEVER);
        logits[first_time + LATEST_START + 1..].fill(NEVER);
    }
    let is_time = |token: &Token| token.id >= first_time;
    match said {
        [.., before, last] if is_time(last) && !is_time(before) => logits[..end].fill(NEVER),
        [.., last] if is_time(last) => logits[first_time..].fill(NEVER),
        _ => {}
    }
    if let Some(last) = said.iter().rev().find(|token| is_time(token)) {
        // Times do not go back.
        logits[first_time..last.id].fill(NEVER);
    }
    let total = log_sum(&logits);
    logits.iter_mut().for_each(|logit| *logit -= total);
    let likeliest_text = logits[..first_time].iter().copied().fold(NEVER, f32::max);
    if log_sum(&logits[first_time..]) > likeliest_text {
        logits[..first_time].fill(NEVER);
    }
    logits
}

/// The token after `said`: `likeliest`, unless it is the time at which a text ends that says too little for its length, and
/// a quarter of the weight of all times lies well before it. Then the model does not know, and the likeliest of those is
/// taken: what lies behind it is heard again, which takes time, while speech that is skipped is lost. Whisper itself has no
/// such rule.
pub(super) fn or_an_earlier_end(
    vocabulary: &Vocabulary,
    log_probabilities: &[f32],
    said: &[Token],
    likeliest: usize,
) -> usize {
    /// Steps of 20 ms: 4 s.
    const WELL_BEFORE: usize = 200;
    const DOUBT: f32 = 0.25;
    /// Who speaks says a token in a second at least; mostly it is three or four.
    const STEPS_OF_TOKEN: usize = 50;
    let first_time = vocabulary.first_time;
    let text = said.iter().rev().take_while(|token| token.id < first_time).count();
    let Some(begin) = said.iter().rev().find(|token| token.id >= first_time).map(|token| token.id) else {
        return likeliest;
    };
    if text == 0 || likeliest < begin + (text * STEPS_OF_TOKEN).max(WELL_BEFORE) {
        return likeliest;
    }
    let weight = |times: &[f32]| times.iter().map(|time| time.exp()).sum::<f32>();
    // An end is behind its beginning.
    let before = &log_probabilities[begin + 1..(likeliest - WELL_BEFORE).max(begin + 1)];
    let earlier = (0..before.len()).max_by(|one, other| before[*one].total_cmp(&before[*other]));
    match earlier {
        Some(earlier) if weight(before) > DOUBT * weight(&log_probabilities[begin + 1..]) => begin + 1 + earlier,
        _ => likeliest,
    }
}

/// The logarithm of the sum of the exponentials.
fn log_sum(logits: &[f32]) -> f32 {
    let top = logits.iter().copied().fold(NEVER, f32::max);
    if top == NEVER {
        return NEVER;
    }
    // In parts: one sum would be too large for the small numbers that come last.
    let part = |logits: &[f32]| logits.iter().map(|logit| (logit - top).exp()).sum::<f32>();
    logits.chunks(256).map(part).sum::<f32>().ln() + top
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 51_864;

    fn vocabulary() -> Vocabulary {
        Vocabulary::new(&["a", " ", "["].map(|text| text.as_bytes().to_vec()), COUNT)
    }

    fn said(ids: &[usize]) -> Vec<Token> {
        ids.iter().map(|id| Token { id: *id, log_probability: 0.0, attention: [].into() }).collect()
    }

    /// What may follow when all tokens are equally likely, but for one.
    fn may_follow(likely: usize, ids: &[usize]) -> Vec<usize> {
        let mut logits = vec![0.0; COUNT];
        logits[likely] = 20.0;
        let found = log_probabilities(&vocabulary(), logits, &said(ids));
        (0..COUNT).filter(|token| found[*token] > NEVER).collect()
    }

    #[test]
    fn a_text_begins_with_a_time_of_the_first_second() {
        let time = vocabulary().first_time;
        assert_eq!(may_follow(time + 3, &[]), (time..=time + 50).collect::<Vec<_>>());
    }

    #[test]
    fn times_come_in_pairs_and_never_go_back() {
        let Vocabulary { end, first_time: time, .. } = vocabulary();
        // After the first time: text.
        assert!(may_follow(0, &[time]).iter().all(|token| *token < time));
        // After text and a time: the same or a later time, or the end.
        let follows = may_follow(time + 120, &[time, 0, time + 100]);
        assert_eq!(follows, (time + 100..COUNT).collect::<Vec<_>>());
        assert!(may_follow(end, &[time, 0, time + 100]).contains(&end));
        // After a pair: text, or the end.
        let follows = may_follow(0, &[time, 0, time + 100, time + 110]);
        assert!(follows.contains(&0) && follows.iter().all(|token| *token < time));
        // After text: more text, and no time before the last one.
        let follows = may_follow(0, &[time, 0, time + 100, time + 110, 0]);
        assert!(follows.contains(&(time + 110)) && !follows.contains(&(time + 109)));
    }

    #[test]
    fn what_nobody_says_is_never_said() {
        let Vocabulary { start, first_time: time, .. } = vocabulary();
        let follows = may_follow(0, &[time, 0]);
        let nobody_speaks = time - 2;
        assert!(![2, start, start + 1, nobody_speaks].iter().any(|token| follows.contains(token)));
        assert!(follows.contains(&1));
    }

    #[test]
    fn a_text_ends_early_where_the_model_does_not_know() {
        let vocabulary = vocabulary();
        let time = vocabulary.first_time;
        let mut weights = vec![NEVER; COUNT];
        (weights[time], weights[time + 1_200], weights[time + 95], weights[time + 100]) = (-1.0, -2.0, -3.0, -2.5);
        let after_text = said(&[time, 0]);
        let end = |weights: &[f32], likeliest| or_an_earlier_end(&vocabulary, weights, &after_text, likeliest);
        // Never where it began, however likely.
        assert_eq!(end(&weights, time + 1_200), time + 100);
        // Another text may begin whenever it likes, and what is no time stays what it is.
        let after_an_end = said(&[time, 0, time + 50]);
        assert_eq!(or_an_earlier_end(&vocabulary, &weights, &after_an_end, time + 1_200), time + 1_200);
        assert_eq!(end(&weights, 7), 7);
        // What says enough lasts as long as it likes.
        let fast = said(&[vec![time], vec![0; 25]].concat());
        assert_eq!(or_an_earlier_end(&vocabulary, &weights, &fast, time + 1_200), time + 1_200);
        // What is near is as good, and what is hardly possible is nothing.
        assert_eq!(end(&weights, time + 290), time + 290);
        assert_eq!(end(&weights, time + 1), time + 1);
        (weights[time], weights[time + 95], weights[time + 100]) = (NEVER, -5.0, -5.0);
        assert_eq!(end(&weights, time + 1_200), time + 1_200);
    }

    #[test]
    fn probabilities_of_all_that_may_follow_make_one() {
        let Vocabulary { first_time: time, .. } = vocabulary();
        let mut logits = vec![0.0; COUNT];
        logits[0] = 12.0;
        let found = log_probabilities(&vocabulary(), logits, &said(&[time, 0]));
        let total: f64 = found.iter().map(|logit| f64::from(*logit).exp()).sum();
        assert!((total - 1.0).abs() < 1e-4, "{total}");
    }
}
