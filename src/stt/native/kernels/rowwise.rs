//! What is done to rows between products. Written once; each instruction set compiles it for itself.
//!
//! `FUSED` = multiplications and additions in one instruction, for processors that have it: without it, the fused form
//! would be a call of the mathematical library.

use std::ops::Range;

use super::Rows;
use super::panels::{Meant, Number, WholeRows};

/// Added to a number below 2²² in size, it leaves the nearest whole one in the last bits.
const ROUNDER: f32 = 12_582_912.0;

/// Numbers that a loop takes at once, so that sums do not wait for one another.
const LANES: usize = 8;

#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// e to the `x`, with a relative error below 2⁻²¹; e⁻⁸⁷ below −87. The polynomial is the one of Cephes' `expf`.
#[inline(always)]
fn exp<const FUSED: bool>(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let rounded = multiply_add::<FUSED>(x, std::f32::consts::LOG2_E, ROUNDER);
    let whole = rounded - ROUNDER;
    // ln 2 in two parts, the first of which has few bits.
    let rest = multiply_add::<FUSED>(whole, -0.693_359_4, x);
    let rest = multiply_add::<FUSED>(whole, 2.121_944_4e-4, rest);
    let mut sum = 1.987_569_1e-4_f32;
    for factor in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        sum = multiply_add::<FUSED>(sum, rest, factor);
    }
    let sum = multiply_add::<FUSED>(sum, rest * rest, rest) + 1.0;
    // Times two to the whole number: what else is in the bits of the rounded one is shifted out.
    f32::from_bits(sum.to_bits().wrapping_add(rounded.to_bits() << 23))
}

/// The nearest whole number, not beyond `largest` either way. For numbers below 2²² in size.
#[expect(clippy::cast_possible_wrap, reason = "the bits of a positive float")]
#[inline(always)]
pub(super) fn whole(number: f32, largest: i32) -> i32 {
    let bits = (number + ROUNDER).to_bits() as i32;
    bits.wrapping_sub(ROUNDER.to_bits() as i32).clamp(-largest, largest)
}

/// Makes whole numbers of some of the rows.
#[inline(always)]
pub(super) fn make_whole<N: Number>(to: &mut WholeRows<N>, rows: Rows<'_>, some: Range<usize>, inputs: usize) {
    let (to_rows, meant) = to.reset(some.len(), inputs);
    for (row, to_row) in some.zip(to_rows) {
        let row = &rows.numbers[row * rows.stride..][..inputs];
        meant.push(N::round(row, to_row));
    }
}

/// Makes whole numbers of softmax of some of the rows times `scale`.
#[inline(always)]
pub(super) fn make_whole_softmax<const FUSED: bool, N: Number>(
    to: &mut WholeRows<N>,
    rows: Rows<'_>,
    some: Range<usize>,
    inputs: usize,
    scale: f32,
) {
    let (to_rows, meant) = to.reset(some.len(), inputs);
    let mut shares = vec![0.0_f32; inputs];
    for (row, to_row) in some.zip(to_rows) {
        let row = &rows.numbers[row * rows.stride..][..inputs];
        let top = top_of(row, |number| number);
        for (share, number) in shares.iter_mut().zip(row) {
            *share = exp::<FUSED>((*number - top) * scale);
        }
        // The greatest of them is one.
        for (to, share) in to_row.iter_mut().zip(&shares) {
            *to = N::of(whole(share * N::LARGEST as f32, N::LARGEST));
        }
        let scale = 1.0 / (N::LARGEST as f32 * sum_of(&shares, |share| share));
        meant.push(Meant { scale, zero: 0 });
    }
}

/// The greatest of what `of` makes of the numbers.
#[inline(always)]
pub(super) fn top_of(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut tops = [f32::NEG_INFINITY; LANES];
    let (eights, rest) = row.as_chunks::<LANES>();
    for eight in eights {
        for (top, number) in tops.iter_mut().zip(eight) {
            let number = of(*number);
            *top = if number > *top { number } else { *top };
        }
    }
    rest.iter().map(|number| of(*number)).chain(tops).fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn sum_of(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (eights, rest) = row.as_chunks::<LANES>();
    for eight in eights {
        for (sum, number) in sums.iter_mut().zip(eight) {
            *sum += of(*number);
        }
    }
    rest.iter().map(|number| of(*number)).chain(sums).sum()
}

#[inline(always)]
pub(super) fn softmax<const FUSED: bool>(rows: &mut [f32], width: usize, scale: f32) {
    for row in rows.chunks_exact_mut(width) {
        let top = top_of(row, |number| number);
        for number in row.iter_mut() {
            *number = exp::<FUSED>((*number - top) * scale);
        }
        let share = 1.0 / sum_of(row, |number| number);
        for number in row {
            *number *= share;
        }
    }
}

#[inline(always)]
pub(super) fn attend<const FUSED: bool>(
    query: &[f32],
    (keys, values): (&[f32], &[f32]),
    stride: usize,
    scores: &mut [f32],
    to: &mut [f32],
) {
    let size = query.len();
    for (row, score) in scores.iter_mut().enumerate() {
        *score = dot::<FUSED>(query, &keys[row * stride..][..size]);
    }
    let count = scores.len();
    softmax::<FUSED>(scores, count, 1.0 / (size as f32).sqrt());
    to.fill(0.0);
    for (row, score) in scores.iter().enumerate() {
        for (to, value) in to.iter_mut().zip(&values[row * stride..][..size]) {
            *to = multiply_add::<FUSED>(*score, *value, *to);
        }
    }
}

#[inline(always)]
fn dot<const FUSED: bool>(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let ((ones, rest), (others, other_rest)) = (one.as_chunks::<LANES>(), other.as_chunks::<LANES>());
    for (one, other) in ones.iter().zip(others) {
        for ((sum, one), other) in sums.iter_mut().zip(one).zip(other) {
            *sum = multiply_add::<FUSED>(*one, *other, *sum);
        }
    }
    rest.iter().zip(other_rest).map(|(one, other)| one * other).chain(sums).sum()
}

#[inline(always)]
pub(super) fn bias_gelu<const FUSED: bool>(rows: &mut [f32], bias: &[f32]) {
    // x · sigmoid(2z) is x/2 · (1 + tanh z), with z = √(2/π) · (x + 0.044715 x³).
    const TWICE_ROOT: f32 = 1.595_769;
    for row in rows.chunks_exact_mut(bias.len()) {
        for (number, bias) in row.iter_mut().zip(bias) {
            let x = *number + *bias;
            let z = TWICE_ROOT * x * multiply_add::<FUSED>(0.044_715 * x, x, 1.0);
            *number = x / (1.0 + exp::<FUSED>(-z));
        }
    }
}

#[inline(always)]
pub(super) fn normalize(rows: &[f32], weight: &[f32], bias: &[f32], to: &mut [f32]) {
    /// Whisper's own: keeps a row without variance from a division by zero.
    const EPSILON: f32 = 1e-5;
    let width = weight.len();
    let count = width as f32;
    for (row, to) in rows.chunks_exact(width).zip(to.chunks_exact_mut(width)) {
        let mean = sum_of(row, |number| number) / count;
        let variance = sum_of(row, |number| (number - mean) * (number - mean)) / count;
        let scale = 1.0 / (variance + EPSILON).sqrt();
        for (((to, number), weight), bias) in to.iter_mut().zip(row).zip(weight).zip(bias) {
            *to = (number - mean) * scale * weight + bias;
        }
    }
}
