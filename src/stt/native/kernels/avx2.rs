//! Kernels for x86-64 processors with AVX2 and FMA.
//!
//! A tile of up to six rows and one panel of sixteen outputs is summed up in twelve registers; two hold the weights of an
//! input and one a number of a row. Rows are taken in chunks that stay in the second-level cache while all panels pass.

#![expect(unsafe_code, reason = "instructions that not every processor has, and pointers into slices checked before")]

use std::arch::x86_64::{
    __m256, _mm_loadl_epi64, _mm256_add_ps, _mm256_broadcast_ss, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps,
    _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_mul_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

use super::panels::PANEL;
use super::{BytePanels, FloatPanels, Kernels, Place, Rows, check, rowwise};

/// Rows of a tile of float weights.
const TALLEST: usize = 6;
/// Rows of a tile of weights in bytes, which has two sets of sums.
const TALLEST_OF_BYTES: usize = 3;
/// Numbers of the rows that stay in the second-level cache.
const CHUNK: usize = 48 * 1_024;

/// Exists only where the processor has AVX2 and FMA.
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

impl Kernels for Avx2 {
    fn multiply(&self, rows: Rows<'_>, weights: &FloatPanels, place: Place<'_>) {
        check(&rows, weights.inputs, weights.outputs, &place);
        // SAFETY: `self` proves the instructions; the sizes were checked.
        unsafe { multiply(rows, weights, place) }
    }

    fn multiply_bytes(&self, rows: Rows<'_>, weights: &BytePanels, place: Place<'_>) {
        check(&rows, weights.inputs, weights.outputs, &place);
        // SAFETY: `self` proves the instructions; the sizes were checked.
        unsafe { multiply_bytes(rows, weights, place) }
    }

    fn softmax(&self, rows: &mut [f32], width: usize, scale: f32) {
        // SAFETY: `self` proves the instructions.
        unsafe { softmax(rows, width, scale) }
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
fn bias_gelu(rows: &mut [f32], bias: &[f32]) {
    rowwise::bias_gelu::<true>(rows, bias);
}

#[target_feature(enable = "avx2,fma")]
fn normalize(rows: &[f32], weight: &[f32], bias: &[f32], to: &mut [f32]) {
    rowwise::normalize(rows, weight, bias, to);
}

/// Where a tile reads its rows and writes its sums.
#[derive(Clone, Copy)]
struct Tile {
    inputs: usize,
    rows: *const f32,
    stride: usize,
    place: *mut f32,
    place_stride: usize,
    /// Outputs of the panel.
    outputs: usize,
}

/// # Safety
/// Rows and place are large enough for the weights.
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply(rows: Rows<'_>, weights: &FloatPanels, place: Place<'_>) {
    let inputs = weights.inputs;
    let chunk = (CHUNK / inputs.max(1) / TALLEST).max(1) * TALLEST;
    for first in (0..rows.count).step_by(chunk) {
        let end = (first + chunk).min(rows.count);
        for index in 0..weights.outputs.div_ceil(PANEL) {
            let (panel, outputs) = weights.panel(index);
            let panel = panel.as_ptr();
            for row in (first..end).step_by(TALLEST) {
                // SAFETY: row < count, and the column of the panel is one of the outputs.
                unsafe {
                    let tile = Tile {
                        inputs,
                        rows: rows.numbers.as_ptr().add(row * rows.stride),
                        stride: rows.stride,
                        place: place.numbers.as_mut_ptr().add(row * place.stride + index * PANEL),
                        place_stride: place.stride,
                        outputs,
                    };
                    match end - row {
                        1 => sum_up::<1>(tile, panel),
                        2 => sum_up::<2>(tile, panel),
                        3 => sum_up::<3>(tile, panel),
                        4 => sum_up::<4>(tile, panel),
                        5 => sum_up::<5>(tile, panel),
                        _ => sum_up::<TALLEST>(tile, panel),
                    }
                }
            }
        }
    }
}

/// # Safety
/// The tile has `ROWS` rows of `inputs` numbers, room for as many rows of `outputs`, and the panel 16 weights an input.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn sum_up<const ROWS: usize>(tile: Tile, panel: *const f32) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
        for input in 0..tile.inputs {
            let low = _mm256_loadu_ps(panel.add(input * PANEL));
            let high = _mm256_loadu_ps(panel.add(input * PANEL + 8));
            for (row, sum) in sums.iter_mut().enumerate() {
                let number = _mm256_broadcast_ss(&*tile.rows.add(row * tile.stride + input));
                sum[0] = _mm256_fmadd_ps(number, low, sum[0]);
                sum[1] = _mm256_fmadd_ps(number, high, sum[1]);
            }
        }
        for (row, [low, high]) in sums.into_iter().enumerate() {
            store(tile, row, low, high);
        }
    }
}

/// # Safety
/// As [`multiply`].
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_bytes(rows: Rows<'_>, weights: &BytePanels, place: Place<'_>) {
    for index in 0..weights.outputs.div_ceil(PANEL) {
        let panel = weights.panel(index);
        for row in (0..rows.count).step_by(TALLEST_OF_BYTES) {
            // SAFETY: row < count, and the column of the panel is one of the outputs.
            unsafe {
                let tile = Tile {
                    inputs: weights.inputs,
                    rows: rows.numbers.as_ptr().add(row * rows.stride),
                    stride: rows.stride,
                    place: place.numbers.as_mut_ptr().add(row * place.stride + index * PANEL),
                    place_stride: place.stride,
                    outputs: panel.outputs,
                };
                let (weights, scales) = (panel.weights.as_ptr(), panel.scales.as_ptr());
                match rows.count - row {
                    1 => sum_up_bytes::<1>(tile, weights, scales),
                    2 => sum_up_bytes::<2>(tile, weights, scales),
                    _ => sum_up_bytes::<TALLEST_OF_BYTES>(tile, weights, scales),
                }
            }
        }
    }
}

/// # Safety
/// As [`sum_up`]; there are 16 scales.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn sum_up_bytes<const ROWS: usize>(tile: Tile, panel: *const i8, scales: *const f32) {
    // SAFETY: as the caller promises.
    unsafe {
        // Inputs in turn go to one set of sums and to the other: with few rows, one would wait for itself.
        let mut sums = [[[_mm256_setzero_ps(); 2]; ROWS]; 2];
        let add = |input: usize, sums: &mut [[__m256; 2]; ROWS]| {
            let low = widen(panel.add(input * PANEL));
            let high = widen(panel.add(input * PANEL + 8));
            for (row, sum) in sums.iter_mut().enumerate() {
                let number = _mm256_broadcast_ss(&*tile.rows.add(row * tile.stride + input));
                sum[0] = _mm256_fmadd_ps(number, low, sum[0]);
                sum[1] = _mm256_fmadd_ps(number, high, sum[1]);
            }
        };
        let even = tile.inputs / 2 * 2;
        for input in (0..even).step_by(2) {
            let [one, other] = &mut sums;
            add(input, one);
            add(input + 1, other);
        }
        if even < tile.inputs {
            add(even, &mut sums[0]);
        }
        let [ones, others] = sums;
        for (row, (one, other)) in ones.into_iter().zip(others).enumerate() {
            let [low, high] = [0, 1].map(|half| {
                _mm256_mul_ps(_mm256_add_ps(one[half], other[half]), _mm256_loadu_ps(scales.add(8 * half)))
            });
            store(tile, row, low, high);
        }
    }
}

/// Eight bytes as floats.
///
/// # Safety
/// There are eight.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn widen(bytes: *const i8) -> __m256 {
    // SAFETY: as the caller promises.
    let eight = unsafe { _mm_loadl_epi64(bytes.cast()) };
    _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight))
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
