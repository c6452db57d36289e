//! Products by tiles: so many rows and panels at a time as the registers hold sums of. Written once; each instruction set
//! says what its registers do and compiles it for itself.
//!
//! Rows are taken in chunks that stay in the second-level cache while all panels pass.

#![expect(unsafe_code, reason = "instructions that not every processor has, and pointers into slices checked before")]

use std::ops::Range;

use super::panels::{Byte, Meant, PANEL, Weight, WholeRows};
use super::{Panels, Place};

/// So few rows leave time to wait for weights, which then lie one after another: a panel at a time.
const FEW_ROWS: usize = 8;
/// Bytes of the rows that stay in the second-level cache.
const CHUNK: usize = 192 * 1_024;

/// What an instruction set does with the sixteen outputs of a panel.
///
/// # Safety
/// Everything here is to be called only where the processor has the instructions, and inlined into a function that is
/// compiled for them.
pub(super) trait Lanes {
    /// Sixteen sums, whole or not.
    type Whole: Copy;
    type Sums: Copy;
    /// Sixteen groups of weights.
    type Groups: Copy;

    /// Rows and panels of the largest tile.
    const TALLEST: usize;
    const WIDEST: usize;

    unsafe fn nothing() -> (Self::Whole, Self::Sums);

    /// # Safety
    /// There are 32 weights.
    unsafe fn words(weights: *const i16) -> Self::Groups;

    /// # Safety
    /// There are 32 weights.
    unsafe fn bytes(weights: *const i8) -> Self::Groups;

    /// Adds to each sum the products of a pair of numbers with its pair of weights.
    unsafe fn dot(sums: Self::Whole, numbers: i32, weights: Self::Groups) -> Self::Whole;

    unsafe fn add(sums: Self::Sums, whole: Self::Whole) -> Self::Sums;

    /// Writes each sum times `scale` times its own scale.
    ///
    /// # Safety
    /// There are 16 scales, and room for 16 sums.
    unsafe fn store(sums: Self::Sums, scale: f32, scales: *const f32, to: *mut f32);
}

/// What an instruction set does that multiplies bytes with bytes.
///
/// # Safety
/// As [`Lanes`].
pub(super) trait ByteLanes: Lanes {
    /// Each sum of weights times `zero`, less than nothing.
    ///
    /// # Safety
    /// There are 16 sums.
    unsafe fn minus_zero(zero: i32, sums: *const i32) -> Self::Whole;

    /// # Safety
    /// There are 64 weights.
    unsafe fn fours(weights: *const Byte) -> Self::Groups;

    /// Adds to each sum the products of four bytes with its four weights.
    unsafe fn dot_bytes(sums: Self::Whole, numbers: i32, weights: Self::Groups) -> Self::Whole;
}

/// A weight that lanes can multiply with.
///
/// # Safety
/// As [`Lanes`].
pub(super) trait Load<L: Lanes>: Weight {
    /// What sixteen sums begin with, of a row with this zero and weights of these sums: nothing, of a row that has none.
    ///
    /// # Safety
    /// There are 16 sums.
    #[inline(always)]
    unsafe fn begin(_zero: i32, _sums: *const i32) -> L::Whole {
        // SAFETY: as the caller promises.
        unsafe { L::nothing().0 }
    }

    /// # Safety
    /// There are weights for a group of inputs and sixteen outputs.
    unsafe fn load(weights: *const Self) -> L::Groups;

    /// Adds to each sum the products of a group of numbers, which are words unless said otherwise, with its group of weights.
    #[inline(always)]
    unsafe fn dot(sums: L::Whole, numbers: i32, weights: L::Groups) -> L::Whole {
        // SAFETY: as the caller promises.
        unsafe { L::dot(sums, numbers, weights) }
    }
}

impl<L: Lanes> Load<L> for i16 {
    #[inline(always)]
    unsafe fn load(weights: *const Self) -> L::Groups {
        // SAFETY: as the caller promises.
        unsafe { L::words(weights) }
    }
}

impl<L: Lanes> Load<L> for i8 {
    #[inline(always)]
    unsafe fn load(weights: *const Self) -> L::Groups {
        // SAFETY: as the caller promises.
        unsafe { L::bytes(weights) }
    }
}

impl<L: ByteLanes> Load<L> for Byte {
    #[inline(always)]
    unsafe fn begin(zero: i32, sums: *const i32) -> L::Whole {
        // SAFETY: as the caller promises.
        unsafe { L::minus_zero(zero, sums) }
    }

    #[inline(always)]
    unsafe fn load(weights: *const Self) -> L::Groups {
        // SAFETY: as the caller promises.
        unsafe { L::fours(weights) }
    }

    #[inline(always)]
    unsafe fn dot(sums: L::Whole, numbers: i32, weights: L::Groups) -> L::Whole {
        // SAFETY: as the caller promises.
        unsafe { L::dot_bytes(sums, numbers, weights) }
    }
}

/// Where a tile reads and writes.
#[derive(Clone, Copy)]
struct Tile<W: Weight> {
    /// Of the inputs.
    groups: usize,
    /// Rows of whole groups, one after another.
    numbers: *const W::Number,
    /// One for each row.
    meant: *const Meant,
    /// Of the first panel; the others follow.
    weights: *const W,
    /// One for each output.
    scales: *const f32,
    /// Likewise.
    sums: *const i32,
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
pub(super) unsafe fn multiply<L: Lanes, W: Load<L>>(
    count: usize,
    make: impl Fn(&mut WholeRows<W::Number>, Range<usize>),
    weights: &Panels<W>,
    place: Place<'_>,
) {
    let groups = weights.inputs.div_ceil(W::GROUP);
    let chunk = (CHUNK / (groups * size_of::<i32>()).max(1) / L::TALLEST).max(1) * L::TALLEST;
    let widest = if count > FEW_ROWS { L::WIDEST } else { 1 };
    let panels = weights.outputs.div_ceil(PANEL);
    let mut whole = WholeRows::default();
    for first in (0..count).step_by(chunk) {
        let end = (first + chunk).min(count);
        make(&mut whole, first..end);
        for panel in (0..panels).step_by(widest) {
            let some = weights.from(panel);
            let mut row = first;
            while row < end {
                // SAFETY: row < end, and the column of the panel is one of the outputs.
                let tile = unsafe {
                    Tile {
                        groups,
                        numbers: whole.numbers.as_ptr().add((row - first) * groups * W::GROUP),
                        meant: whole.meant.as_ptr().add(row - first),
                        weights: some.weights.as_ptr(),
                        scales: some.scales.as_ptr(),
                        sums: some.sums.as_ptr(),
                        place: place.numbers.as_mut_ptr().add(row * place.stride + panel * PANEL),
                        place_stride: place.stride,
                        outputs: some.outputs,
                    }
                };
                // SAFETY: there are so many rows, and panels of which the last may not be full.
                row += unsafe {
                    if L::WIDEST > 1 && widest > 1 && panel + 1 < panels {
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
unsafe fn some_rows<L: Lanes, W: Load<L>, const PANELS: usize>(tile: Tile<W>, left: usize) -> usize {
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
unsafe fn sum_up<L: Lanes, W: Load<L>, const ROWS: usize, const PANELS: usize>(tile: Tile<W>) -> usize {
    // SAFETY: as the caller promises.
    unsafe {
        let (nothing, no_sum) = L::nothing();
        let mut totals = [[no_sum; PANELS]; ROWS];
        for first in (0..tile.groups).step_by(W::BLOCK / W::GROUP) {
            let end = (first + W::BLOCK / W::GROUP).min(tile.groups);
            let mut sums = [[nothing; PANELS]; ROWS];
            for (row, sums) in sums.iter_mut().enumerate() {
                for (panel, sum) in sums.iter_mut().enumerate() {
                    *sum = W::begin((*tile.meant.add(row)).zero, tile.sums.add(panel * PANEL));
                }
            }
            for group in first..end {
                let mut weights = [W::load(tile.weights.add(group * W::GROUP * PANEL)); PANELS];
                for (panel, weights) in weights.iter_mut().enumerate().skip(1) {
                    *weights = W::load(tile.weights.add((panel * tile.groups + group) * W::GROUP * PANEL));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let numbers =
                        tile.numbers.add((row * tile.groups + group) * W::GROUP).cast::<i32>().read_unaligned();
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum = W::dot(*sum, numbers, weights);
                    }
                }
            }
            for (total, sum) in totals.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
                *total = L::add(*total, *sum);
            }
        }
        for (row, totals) in totals.into_iter().enumerate() {
            let Meant { scale, .. } = *tile.meant.add(row);
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
