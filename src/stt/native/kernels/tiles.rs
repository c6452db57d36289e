//! Products by tiles: so many rows and panels at a time as the registers hold sums of. Written once; each instruction set
//! says what its registers do and compiles it for itself.
//!
//! Rows are taken in chunks that stay in the second-level cache while all panels pass.

#![expect(unsafe_code, reason = "instructions that not every processor has, and pointers into slices checked before")]

use std::ops::Range;

use super::panels::{BLOCK, PAIR, PANEL, Weight, WholeRows};
use super::{Panels, Place};

/// Numbers of the rows that stay in the second-level cache.
const CHUNK: usize = 96 * 1_024;

/// What an instruction set does with the sixteen outputs of a panel.
///
/// # Safety
/// Everything here is to be called only where the processor has the instructions, and inlined into a function that is
/// compiled for them.
pub(super) trait Lanes {
    /// Sixteen sums, whole or not.
    type Whole: Copy;
    type Sums: Copy;
    /// Sixteen pairs of weights.
    type Pairs: Copy;

    /// Rows and panels of the largest tile.
    const TALLEST: usize;
    const WIDEST: usize;

    unsafe fn nothing() -> (Self::Whole, Self::Sums);

    /// # Safety
    /// There are 32 weights.
    unsafe fn words(weights: *const i16) -> Self::Pairs;

    /// # Safety
    /// There are 32 weights.
    unsafe fn bytes(weights: *const i8) -> Self::Pairs;

    /// Adds to each sum the products of a pair of numbers with its pair of weights.
    unsafe fn dot(sums: Self::Whole, numbers: i32, weights: Self::Pairs) -> Self::Whole;

    unsafe fn add(sums: Self::Sums, whole: Self::Whole) -> Self::Sums;

    /// Writes each sum times `scale` times its own scale.
    ///
    /// # Safety
    /// There are 16 scales, and room for 16 sums.
    unsafe fn store(sums: Self::Sums, scale: f32, scales: *const f32, to: *mut f32);
}

/// A weight that lanes can load.
pub(super) trait Load: Weight {
    /// # Safety
    /// There are 32 weights, and the processor has the instructions.
    unsafe fn load<L: Lanes>(weights: *const Self) -> L::Pairs;
}

impl Load for i16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(weights: *const Self) -> L::Pairs {
        // SAFETY: as the caller promises.
        unsafe { L::words(weights) }
    }
}

impl Load for i8 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(weights: *const Self) -> L::Pairs {
        // SAFETY: as the caller promises.
        unsafe { L::bytes(weights) }
    }
}

/// Where a tile reads and writes.
#[derive(Clone, Copy)]
struct Tile<W> {
    /// Of the inputs.
    pairs: usize,
    /// Rows of whole pairs, one after another.
    numbers: *const i16,
    /// One for each row.
    row_scales: *const f32,
    /// Of the first panel; the others follow.
    weights: *const W,
    /// One for each output.
    scales: *const f32,
    place: *mut f32,
    place_stride: usize,
    outputs: usize,
}

/// Writes the product of each of `count` rows with each row of the weights. `make` gives some of the rows as whole numbers.
///
/// # Safety
/// The processor has the instructions. `make` gives all rows that are asked for, each as long as the weights have inputs,
/// and the place is large enough.
#[inline(always)]
pub(super) unsafe fn multiply<L: Lanes, W: Load>(
    count: usize,
    make: impl Fn(&mut WholeRows, Range<usize>),
    weights: &Panels<W>,
    place: Place<'_>,
) {
    let pairs = weights.inputs.div_ceil(PAIR);
    let chunk = (CHUNK / (pairs * PAIR).max(1) / L::TALLEST).max(1) * L::TALLEST;
    let panels = weights.outputs.div_ceil(PANEL);
    let mut whole = WholeRows::default();
    for first in (0..count).step_by(chunk) {
        let end = (first + chunk).min(count);
        make(&mut whole, first..end);
        for panel in (0..panels).step_by(L::WIDEST) {
            let some = weights.from(panel);
            let mut row = first;
            while row < end {
                // SAFETY: row < end, and the column of the panel is one of the outputs.
                let tile = unsafe {
                    Tile {
                        pairs,
                        numbers: whole.numbers.as_ptr().add((row - first) * pairs * PAIR),
                        row_scales: whole.scales.as_ptr().add(row - first),
                        weights: some.weights.as_ptr(),
                        scales: some.scales.as_ptr(),
                        place: place.numbers.as_mut_ptr().add(row * place.stride + panel * PANEL),
                        place_stride: place.stride,
                        outputs: some.outputs,
                    }
                };
                // SAFETY: there are so many rows, and panels of which the last may not be full.
                row += unsafe {
                    if L::WIDEST > 1 && panel + 1 < panels {
                        some_rows::<L, W, 2>(tile, end - row)
                    } else {
                        some_rows::<L, W, 1>(tile, end - row)
                    }
                };
            }
        }
    }
}

/// Sums up as many of `left` rows as one tile has, and says how many.
///
/// # Safety
/// As [`sum_up`].
#[inline(always)]
unsafe fn some_rows<L: Lanes, W: Load, const PANELS: usize>(tile: Tile<W>, left: usize) -> usize {
    // SAFETY: as the caller promises.
    unsafe {
        match left.min(L::TALLEST) {
            12.. => sum_up::<L, W, 12, PANELS>(tile),
            8.. => sum_up::<L, W, 8, PANELS>(tile),
            6.. => sum_up::<L, W, 6, PANELS>(tile),
            4.. => sum_up::<L, W, 4, PANELS>(tile),
            2.. => sum_up::<L, W, 2, PANELS>(tile),
            _ => sum_up::<L, W, 1, PANELS>(tile),
        }
    }
}

/// # Safety
/// The tile has `ROWS` rows with their scales, `PANELS` panels with theirs, and room for as many rows of its outputs. The
/// processor has the instructions.
#[inline(always)]
unsafe fn sum_up<L: Lanes, W: Load, const ROWS: usize, const PANELS: usize>(tile: Tile<W>) -> usize {
    // SAFETY: as the caller promises.
    unsafe {
        let (nothing, no_sum) = L::nothing();
        let mut totals = [[no_sum; PANELS]; ROWS];
        for first in (0..tile.pairs).step_by(BLOCK / PAIR) {
            let end = (first + BLOCK / PAIR).min(tile.pairs);
            let mut sums = [[nothing; PANELS]; ROWS];
            for pair in first..end {
                let mut weights = [W::load::<L>(tile.weights.add(pair * PAIR * PANEL)); PANELS];
                for (panel, weights) in weights.iter_mut().enumerate().skip(1) {
                    *weights = W::load::<L>(tile.weights.add((panel * tile.pairs + pair) * PAIR * PANEL));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let numbers = tile.numbers.add((row * tile.pairs + pair) * PAIR).cast::<i32>().read_unaligned();
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum = L::dot(*sum, numbers, weights);
                    }
                }
            }
            for (total, sum) in totals.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
                *total = L::add(*total, *sum);
            }
        }
        for (row, totals) in totals.into_iter().enumerate() {
            let scale = *tile.row_scales.add(row);
            for (panel, total) in totals.into_iter().enumerate() {
                let (scales, to) =
                    (tile.scales.add(panel * PANEL), tile.place.add(row * tile.place_stride + panel * PANEL));
                let outputs = tile.outputs - panel * PANEL;
                if outputs >= PANEL {
                    L::store(total, scale, scales, to);
                } else {
                    let mut all = [0.0_f32; PANEL];
                    L::store(total, scale, scales, all.as_mut_ptr());
                    std::ptr::copy_nonoverlapping(all.as_ptr(), to, outputs);
                }
            }
        }
    }
    ROWS
}
