//! Kernels for x86-64 processors with AVX2 and FMA.
//!
//! A tile of six rows and one panel is summed up in twelve registers; two hold the weights of a pair of inputs, one a pair
//! of numbers of a row and one their products.

#![expect(unsafe_code, reason = "instructions that not every processor has, and pointers into slices checked before")]

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_add_ps, _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps,
    _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_storeu_ps,
};

use super::compiled::compiled;
use super::panels::{PANEL, WholeRows};
use super::tiles::{self, Lanes, Load};
use super::{Kernels, Panels, Place, Rows, check, rowwise};

/// Exists only where the processor has AVX2 and FMA.
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

compiled!(Avx2, TwoHalves, "avx2,fma");

/// Eight outputs in each half.
struct TwoHalves;

impl Lanes for TwoHalves {
    type Whole = [__m256i; 2];
    type Sums = [__m256; 2];
    type Groups = [__m256i; 2];

    const TALLEST: usize = 6;
    const WIDEST: usize = 1;

    #[inline(always)]
    unsafe fn nothing() -> (Self::Whole, Self::Sums) {
        // SAFETY: the caller has the instructions.
        unsafe { ([_mm256_setzero_si256(); 2], [_mm256_setzero_ps(); 2]) }
    }

    #[inline(always)]
    unsafe fn words(weights: *const i16) -> Self::Groups {
        // SAFETY: as the caller promises.
        unsafe { [_mm256_loadu_si256(weights.cast()), _mm256_loadu_si256(weights.add(PANEL).cast())] }
    }

    #[inline(always)]
    unsafe fn bytes(weights: *const i8) -> Self::Groups {
        // SAFETY: as the caller promises.
        unsafe {
            let halves = [_mm_loadu_si128(weights.cast()), _mm_loadu_si128(weights.add(PANEL).cast())];
            [_mm256_cvtepi8_epi16(halves[0]), _mm256_cvtepi8_epi16(halves[1])]
        }
    }

    #[inline(always)]
    unsafe fn dot(sums: Self::Whole, numbers: i32, weights: Self::Groups) -> Self::Whole {
        // SAFETY: the caller has the instructions.
        unsafe {
            let numbers = _mm256_set1_epi32(numbers);
            [
                _mm256_add_epi32(sums[0], _mm256_madd_epi16(numbers, weights[0])),
                _mm256_add_epi32(sums[1], _mm256_madd_epi16(numbers, weights[1])),
            ]
        }
    }

    #[inline(always)]
    unsafe fn add(sums: Self::Sums, whole: Self::Whole) -> Self::Sums {
        // SAFETY: the caller has the instructions.
        unsafe {
            [_mm256_add_ps(sums[0], _mm256_cvtepi32_ps(whole[0])), _mm256_add_ps(sums[1], _mm256_cvtepi32_ps(whole[1]))]
        }
    }

    #[inline(always)]
    unsafe fn store(sums: Self::Sums, scale: f32, scales: *const f32, to: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe {
            let scale = _mm256_set1_ps(scale);
            for (half, sum) in sums.into_iter().enumerate() {
                let sum = _mm256_mul_ps(_mm256_mul_ps(sum, scale), _mm256_loadu_ps(scales.add(8 * half)));
                _mm256_storeu_ps(to.add(8 * half), sum);
            }
        }
    }
}
