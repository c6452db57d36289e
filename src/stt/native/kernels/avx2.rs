//! Kernels for x86-64 processors with AVX2 and FMA.
//!
//! A tile of up to six rows and one panel of sixteen outputs is summed up in twelve registers of whole numbers; two hold
//! the weights of a pair of inputs, one a pair of numbers of a row and one their products. Rows are taken in chunks that
//! stay in the second-level cache while all panels pass.

#![expect(unsafe_code, reason = "instructions that not every processor has, and pointers into slices checked before")]

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_add_ps, _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps,
    _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_storeu_ps,
};

use super::panels::{BLOCK, PAIR, PANEL, Weight, WholeRows};
use super::{Kernels, Panels, Place, Rows, check, rowwise};

/// Rows of a tile.
const TALLEST: usize = 6;
/// Numbers of the rows that stay in the second-level cache.
const CHUNK: usize = 96 * 1_024;

/// Exists only where the processor has AVX2 and FMA.
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

impl Kernels for Avx2 {
    fn multiply(&self, rows: Rows<'_>, weights: &Panels<i16>, place: Place<'_>) {
        check(&rows, weights.inputs, weights.outputs, &place);
        // SAFETY: `self` proves the instructions; the sizes were checked.
        unsafe { multiply(rows, weights, place) }
    }

    fn multiply_bytes(&self, rows: Rows<'_>, weights: &Panels<i8>, place: Place<'_>) {
        check(&rows, weights.inputs, weights.outputs, &place);
        // SAFETY: `self` proves the instructions; the sizes were checked.
        unsafe { multiply(rows, weights, place) }
    }

    fn softmax(&self, rows: &mut [f32], width: usize, scale: f32) {
        // SAFETY: `self` proves the instructions.
        unsafe { softmax(rows, width, scale) }
    }

    fn attend(&self, query: &[f32], rows: (&[f32], &[f32]), stride: usize, scores: &mut [f32], to: &mut [f32]) {
        // SAFETY: `self` proves the instructions.
        unsafe { attend(query, rows, stride, scores, to) }
    }

    fn bias_gelu(&self, rows: &mut [f32], bias: &[f32]) {
        // SAFETY: `self` proves the instructions.
        unsafe { bias_gelu(rows, bias) }
    }

    fn normalize(&self, rows: &[f32], weight: &[f32], bias: &[f32], to: &mut [f32]) {
        // SAFETY: `self` proves the instructions.
        unsafe { normalize(rows, weight, bias, to) }
    }
}

#[target_feature(enable = "avx2,fma")]
fn softmax(rows: &mut [f32], width: usize, scale: f32) {
    rowwise::softmax::<true>(rows, width, scale);
}

#[target_feature(enable = "avx2,fma")]
fn attend(query: &[f32], rows: (&[f32], &[f32]), stride: usize, scores: &mut [f32], to: &mut [f32]) {
    rowwise::attend::<true>(query, rows, stride, scores, to);
}

#[target_feature(enable = "avx2,fma")]
fn bias_gelu(rows: &mut [f32], bias: &[f32]) {
    rowwise::bias_gelu::<true>(rows, bias);
}

#[target_feature(enable = "avx2,fma")]
fn normalize(rows: &[f32], weight: &[f32], bias: &[f32], to: &mut [f32]) {
    rowwise::normalize(rows, weight, bias, to);
}

/// A weight that these kernels can load.
trait Load: Weight {
    /// The weights of a pair of inputs for the sixteen outputs of a panel, eight in each half.
    ///
    /// # Safety
    /// There are 32 of them.
    unsafe fn load(weights: *const Self) -> [__m256i; 2];
}

impl Load for i16 {
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn load(weights: *const Self) -> [__m256i; 2] {
        // SAFETY: as the caller promises.
        unsafe { [_mm256_loadu_si256(weights.cast()), _mm256_loadu_si256(weights.add(PANEL).cast())] }
    }
}

impl Load for i8 {
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn load(weights: *const Self) -> [__m256i; 2] {
        // SAFETY: as the caller promises.
        let halves = unsafe { [_mm_loadu_si128(weights.cast()), _mm_loadu_si128(weights.add(PANEL).cast())] };
        [_mm256_cvtepi8_epi16(halves[0]), _mm256_cvtepi8_epi16(halves[1])]
    }
}

/// Where a tile reads its rows and writes its sums.
#[derive(Clone, Copy)]
struct Tile {
    /// Of the inputs.
    pairs: usize,
    /// Rows of whole pairs, one after another.
    numbers: *const i16,
    /// One for each row.
    row_scales: *const f32,
    /// One for each output of the panel.
    scales: *const f32,
    place: *mut f32,
    place_stride: usize,
    outputs: usize,
}

/// # Safety
/// Rows and place are large enough for the weights.
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply<W: Load>(rows: Rows<'_>, weights: &Panels<W>, place: Place<'_>) {
    let pairs = weights.inputs.div_ceil(PAIR);
    let chunk = (CHUNK / (pairs * PAIR).max(1) / TALLEST).max(1) * TALLEST;
    let mut whole = WholeRows::default();
    for first in (0..rows.count).step_by(chunk) {
        let end = (first + chunk).min(rows.count);
        rowwise::make_whole(&mut whole, rows, first..end, weights.inputs);
        for index in 0..weights.outputs.div_ceil(PANEL) {
            let panel = weights.panel(index);
            for row in (first..end).step_by(TALLEST) {
                // SAFETY: row < end, and the column of the panel is one of the outputs.
                unsafe {
                    let tile = Tile {
                        pairs,
                        numbers: whole.numbers.as_ptr().add((row - first) * pairs * PAIR),
                        row_scales: whole.scales.as_ptr().add(row - first),
                        scales: panel.scales.as_ptr(),
                        place: place.numbers.as_mut_ptr().add(row * place.stride + index * PANEL),
                        place_stride: place.stride,
                        outputs: panel.outputs,
                    };
                    let weights = panel.weights.as_ptr();
                    match end - row {
                        1 => sum_up::<W, 1>(tile, weights),
                        2 => sum_up::<W, 2>(tile, weights),
                        3 => sum_up::<W, 3>(tile, weights),
                        4 => sum_up::<W, 4>(tile, weights),
                        5 => sum_up::<W, 5>(tile, weights),
                        _ => sum_up::<W, TALLEST>(tile, weights),
                    }
                }
            }
        }
    }
}

/// # Safety
/// The tile has `ROWS` rows with their scales, 16 scales of outputs, room for as many rows of `outputs`, and the panel 32
/// weights for each pair.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn sum_up<W: Load, const ROWS: usize>(tile: Tile, panel: *const W) {
    let mut totals = [[_mm256_setzero_ps(); 2]; ROWS];
    for first in (0..tile.pairs).step_by(BLOCK / PAIR) {
        let end = (first + BLOCK / PAIR).min(tile.pairs);
        let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
        for pair in first..end {
            // SAFETY: as the caller promises.
            unsafe {
                let [low, high] = W::load(panel.add(pair * PAIR * PANEL));
                for (row, sum) in sums.iter_mut().enumerate() {
                    let numbers = tile.numbers.add((row * tile.pairs + pair) * PAIR);
                    let numbers = _mm256_set1_epi32(numbers.cast::<i32>().read_unaligned());
                    sum[0] = _mm256_add_epi32(sum[0], _mm256_madd_epi16(numbers, low));
                    sum[1] = _mm256_add_epi32(sum[1], _mm256_madd_epi16(numbers, high));
                }
            }
        }
        for (total, sum) in totals.iter_mut().zip(sums) {
            total[0] = _mm256_add_ps(total[0], _mm256_cvtepi32_ps(sum[0]));
            total[1] = _mm256_add_ps(total[1], _mm256_cvtepi32_ps(sum[1]));
        }
    }
    for (row, total) in totals.into_iter().enumerate() {
        // SAFETY: as the caller promises.
        unsafe {
            let scale = _mm256_set1_ps(*tile.row_scales.add(row));
            let low = _mm256_mul_ps(_mm256_mul_ps(total[0], scale), _mm256_loadu_ps(tile.scales));
            let high = _mm256_mul_ps(_mm256_mul_ps(total[1], scale), _mm256_loadu_ps(tile.scales.add(8)));
            store(tile, row, low, high);
        }
    }
}

/// # Safety
/// As [`sum_up`].
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn store(tile: Tile, row: usize, low: __m256, high: __m256) {
    // SAFETY: as the caller promises.
    unsafe {
        let to = tile.place.add(row * tile.place_stride);
        if tile.outputs == PANEL {
            _mm256_storeu_ps(to, low);
            _mm256_storeu_ps(to.add(8), high);
        } else {
            let mut all = [0.0_f32; PANEL];
            _mm256_storeu_ps(all.as_mut_ptr(), low);
            _mm256_storeu_ps(all.as_mut_ptr().add(8), high);
            std::ptr::copy_nonoverlapping(all.as_ptr(), to, tile.outputs);
        }
    }
}
