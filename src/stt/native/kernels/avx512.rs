//! Kernels for x86-64 processors with AVX-512 and its instructions for neural networks (VNNI), which multiply pairs of
//! 16-bit numbers and add the products to sums at once.
//!
//! A tile of twelve rows and two panels is summed up in twenty-four registers; two hold the weights of a pair of inputs,
//! one a pair of numbers of a row.

#![expect(unsafe_code, reason = "instructions that not every processor has, and pointers into slices checked before")]

use std::arch::x86_64::{
    __m512, __m512i, _mm256_loadu_si256, _mm512_add_ps, _mm512_cvtepi8_epi16, _mm512_cvtepi32_ps, _mm512_dpwssd_epi32,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_setzero_si512, _mm512_storeu_ps,
};

use super::compiled::compiled;
use super::panels::WholeRows;
use super::tiles::{self, Lanes, Load};
use super::{Kernels, Panels, Place, Rows, check, rowwise};

/// Exists only where the processor has AVX2, FMA, AVX-512 F, BW, DQ and VL, and VNNI.
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn new() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        has_all.then_some(Self(()))
    }
}

compiled!(Avx512, Whole, "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni");

/// A panel's sixteen outputs in one register.
struct Whole;

impl Lanes for Whole {
    type Whole = __m512i;
    type Sums = __m512;
    type Pairs = __m512i;

    const TALLEST: usize = 12;
    const WIDEST: usize = 2;

    #[inline(always)]
    unsafe fn nothing() -> (Self::Whole, Self::Sums) {
        // SAFETY: the caller has the instructions.
        unsafe { (_mm512_setzero_si512(), _mm512_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn words(weights: *const i16) -> Self::Pairs {
        // SAFETY: as the caller promises.
        unsafe { _mm512_loadu_si512(weights.cast()) }
    }

    #[inline(always)]
    unsafe fn bytes(weights: *const i8) -> Self::Pairs {
        // SAFETY: as the caller promises.
        unsafe { _mm512_cvtepi8_epi16(_mm256_loadu_si256(weights.cast())) }
    }

    #[inline(always)]
    unsafe fn dot(sums: Self::Whole, numbers: i32, weights: Self::Pairs) -> Self::Whole {
        // SAFETY: the caller has the instructions.
        unsafe { _mm512_dpwssd_epi32(sums, _mm512_set1_epi32(numbers), weights) }
    }

    #[inline(always)]
    unsafe fn add(sums: Self::Sums, whole: Self::Whole) -> Self::Sums {
        // SAFETY: the caller has the instructions.
        unsafe { _mm512_add_ps(sums, _mm512_cvtepi32_ps(whole)) }
    }

    #[inline(always)]
    unsafe fn store(sums: Self::Sums, scale: f32, scales: *const f32, to: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe {
            let scaled = _mm512_mul_ps(_mm512_mul_ps(sums, _mm512_set1_ps(scale)), _mm512_loadu_ps(scales));
            _mm512_storeu_ps(to, scaled);
        }
    }
}
