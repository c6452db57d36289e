//! When each token was said: where in the sound the decoder listened while it looked for the token.
//!
//! Some heads of the attention to the sound follow the text through it; OpenAI named those of each of its models. Their
//! shares of each position are put in relation to those of the other tokens, smoothed, and averaged over the heads. The
//! path through the result that is worth most, and never goes back, says at which position each token begins
//! (`timing.py` of OpenAI's Whisper).

use super::Token;
use crate::stt::models::Header;

/// Block and head, each from 0.
pub(super) type Head = (usize, usize);

/// Positions over which a share is smoothed: 140 ms.
const SMOOTHED: usize = 7;

/// The most heads that are listened to where nobody says which follow the text.
const MOST_HEADS: usize = 20;

/// The heads of a model that follow the text: those that OpenAI names for a model of this shape, else the last ones of the
/// later half of its blocks.
pub(super) fn heads(header: &Header) -> Vec<Head> {
    let is_english = header.n_vocab < 51_865;
    let named: &[Head] = match (header.n_text_layer, header.n_text_head, header.n_mels, is_english) {
        (4, 6, 80, true) => &[(1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)],
        (4, 6, 80, false) => &[(2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5)],
        (6, 8, 80, true) => &[(3, 3), (4, 7), (5, 1), (5, 5), (5, 7)],
        (6, 8, 80, false) => &[(3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)],
        (12, 12, 80, true) => &[
            (6, 6),
            (7, 0),
            (7, 3),
            (7, 8),
            (8, 2),
            (8, 5),
            (8, 7),
            (9, 0),
            (9, 4),
            (9, 8),
            (9, 10),
            (10, 0),
            (10, 1),
            (10, 2),
            (10, 3),
            (10, 6),
            (10, 11),
            (11, 2),
            (11, 4),
        ],
        (12, 12, 80, false) => &[(5, 3), (5, 9), (8, 0), (8, 4), (8, 7), (8, 8), (9, 0), (9, 7), (9, 9), (10, 5)],
        (24, 16, 80, true) => &[
            (11, 4),
            (14, 1),
            (14, 12),
            (14, 14),
            (15, 4),
            (16, 0),
            (16, 4),
            (16, 9),
            (17, 12),
            (17, 14),
            (18, 7),
            (18, 10),
            (18, 15),
            (20, 0),
            (20, 3),
            (20, 9),
            (20, 14),
            (21, 12),
        ],
        (24, 16, 80, false) => &[(13, 15), (15, 4), (15, 15), (16, 1), (20, 0), (23, 4)],
        (32, 20, 128, false) => {
            &[(7, 0), (10, 17), (12, 18), (13, 12), (16, 1), (17, 14), (19, 11), (21, 4), (24, 1), (25, 6)]
        }
        (4, 20, 128, false) => &[(2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14)],
        _ => &[],
    };
    if !named.is_empty() {
        return named.to_vec();
    }
    let (blocks, heads) = (header.n_text_layer as usize, header.n_text_head as usize);
    let all = (blocks / 2..blocks).rev().flat_map(|block| (0..heads).map(move |head| (block, head)));
    all.take(MOST_HEADS).collect()
}

/// The position (20 ms each) at which each token begins, and the one at which the last ends. `heads` = how many heads the
/// attention of a token comes from; `positions` = how many of its positions have sound, at least one.
pub(super) fn begins(tokens: &[Token], heads: usize, positions: usize) -> Vec<usize> {
    let worth = worth(tokens, heads, positions);
    let mut begins = path(&worth, positions);
    begins.push(positions);
    begins
}

/// For each token a row with the worth of each position.
fn worth(tokens: &[Token], heads: usize, positions: usize) -> Vec<f32> {
    let mut worth = vec![0.0; tokens.len() * positions];
    let mut shares = worth.clone();
    let mut smooth = vec![0.0; positions];
    for head in 0..heads {
        for (row, token) in shares.chunks_exact_mut(positions).zip(tokens) {
            let all = token.attention.len() / heads;
            row.copy_from_slice(&token.attention[head * all..][..positions]);
            // Of what lies in the window.
            let total: f32 = row.iter().sum::<f32>().max(f32::MIN_POSITIVE);
            row.iter_mut().for_each(|share| *share /= total);
        }
        standardize(&mut shares, positions);
        for (row, sum) in shares.chunks_exact(positions).zip(worth.chunks_exact_mut(positions)) {
            median(row, &mut smooth);
            sum.iter_mut().zip(&smooth).for_each(|(sum, share)| *sum += share / heads as f32);
        }
    }
    worth
}

/// Makes the shares of each position over all tokens have mean 0 and deviation 1.
fn standardize(shares: &mut [f32], positions: usize) {
    let count = (shares.len() / positions) as f32;
    let mut means = vec![0.0; positions];
    for row in shares.chunks_exact(positions) {
        means.iter_mut().zip(row).for_each(|(mean, share)| *mean += share / count);
    }
    let mut squares = vec![0.0; positions];
    for row in shares.chunks_exact(positions) {
        for ((square, mean), share) in squares.iter_mut().zip(&means).zip(row) {
            *square += (share - mean) * (share - mean) / count;
        }
    }
    for row in shares.chunks_exact_mut(positions) {
        for ((share, mean), square) in row.iter_mut().zip(&means).zip(&squares) {
            *share = if *square > 0.0 { (*share - mean) / square.sqrt() } else { 0.0 };
        }
    }
}

/// The median around each number; the row is mirrored at its ends.
fn median(row: &[f32], to: &mut [f32]) {
    const REACH: usize = SMOOTHED / 2;
    if row.len() <= REACH {
        to.copy_from_slice(row);
        return;
    }
    let last = row.len() - 1;
    for (at, to) in to.iter_mut().enumerate() {
        let mut around = [0.0; SMOOTHED];
        for (offset, number) in around.iter_mut().enumerate() {
            let place = (at + offset).abs_diff(REACH);
            *number = row[if place > last { 2 * last - place } else { place }];
        }
        around.sort_unstable_by(f32::total_cmp);
        *to = around[REACH];
    }
}

/// Where each row begins on the way from the first row and position to the last ones that is worth most. Each step goes to
/// the next position, the next row, or both.
fn path(worth: &[f32], positions: usize) -> Vec<usize> {
    #[derive(Clone, Copy)]
    enum Step {
        Both,
        Row,
        Position,
    }
    let rows = worth.len() / positions;
    let mut before = vec![f32::NEG_INFINITY; positions + 1];
    before[0] = 0.0;
    let mut steps = Vec::with_capacity(rows * positions);
    for row in worth.chunks_exact(positions) {
        let mut now = vec![f32::NEG_INFINITY; positions + 1];
        for (position, worth) in row.iter().enumerate() {
            let (both, by_row, by_position) = (before[position], before[position + 1], now[position]);
            let (step, best) = if both > by_row && both > by_position {
                (Step::Both, both)
            } else if by_row > both && by_row > by_position {
                (Step::Row, by_row)
            } else {
                (Step::Position, by_position)
            };
            now[position + 1] = best + worth;
            steps.push(step);
        }
        before = now;
    }
    let mut begins = vec![0; rows];
    let (mut row, mut position) = (rows, positions);
    while row > 0 && position > 0 {
        begins[row - 1] = position - 1;
        match steps[(row - 1) * positions + position - 1] {
            Step::Both => (row, position) = (row - 1, position - 1),
            Step::Row => row -= 1,
            Step::Position => position -= 1,
        }
    }
    begins
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token whose only head listens to the positions from `first` on, `length` of them.
    fn token(first: usize, length: usize, positions: usize) -> Token {
        let share = |position: usize| if (first..first + length).contains(&position) { 1.0 } else { 0.01 };
        Token { id: 0, log_probability: 0.0, attention: (0..positions).map(share).collect::<Vec<_>>().into() }
    }

    #[test]
    fn tokens_begin_where_the_decoder_listens_for_them() {
        let tokens = [token(0, 20, 100), token(20, 30, 100), token(50, 15, 100), token(65, 35, 100)];
        assert_eq!(begins(&tokens, 1, 100), [0, 20, 50, 65, 100]);
    }

    #[test]
    fn tokens_never_begin_before_the_one_before_them() {
        // The second and the third were listened for in the wrong order.
        let tokens = [token(0, 20, 60), token(40, 20, 60), token(20, 20, 60), token(40, 20, 60)];
        let begins = begins(&tokens, 1, 60);
        assert!(begins.is_sorted(), "{begins:?}");
        assert_eq!((begins[0], begins[4]), (0, 60));
    }

    #[test]
    fn more_tokens_than_positions_and_silent_heads_have_times_as_well() {
        let tokens: Vec<Token> = (0..9).map(|_| token(0, 0, 4)).collect();
        let begins = begins(&tokens, 1, 4);
        assert!(begins.is_sorted() && begins.len() == 10 && begins[9] == 4, "{begins:?}");
        assert!(super::begins(&[], 1, 4) == [4]);
    }

    #[test]
    fn a_median_leaves_lone_peaks_out() {
        let mut to = vec![0.0; 9];
        median(&[0.0, 0.0, 9.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0], &mut to);
        assert_eq!(to, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    }
}
