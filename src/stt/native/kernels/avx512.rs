//! Kernels for x86-64 processors with AVX-512 and its instructions for neural networks (VNNI), which multiply two numbers of
//! 16 bits, or in the same time four bytes, and add the products to sums at once.
//!
//! A tile of twelve rows and two panels is summed up in twenty-four registers; two hold the weights of a group of inputs,
//! one a group of numbers of a row.

#![expect(unsafe_code, reason = "instructions that not every processor has, and pointers into slices checked before")]

use std::arch::x86_64::{
    __m512, __m512i, _mm256_loadu_si256, _mm512_add_ps, _mm512_cvtepi8_epi16, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32,
    _mm512_dpwssd_epi32, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_mullo_epi32, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_storeu_ps,
};

use super::compiled::compiled;
use super::panels::{Byte, WholeRows};
use super::tiles::{self, ByteLanes, Lanes, Load};
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

compiled!(Avx512, Whole, "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni", {
    fn multiply_all_bytes(&self, rows: Rows<'_>, weights: &Panels<Byte>, place: Place<'_>) {
        check(&rows, weights.inputs, weights.outputs, &place);
        // SAFETY: `self` proves the instructions; the sizes were checked.
        unsafe { multiply(rows, weights, place) }
    }

    fn multiply_softmax_all_bytes(&self, rows: Rows<'_>, scale: f32, weights: &Panels<Byte>, place: Place<'_>) {
        check(&rows, weights.inputs, weights.outputs, &place);
        // SAFETY: `self` proves the instructions; the sizes were checked.
        unsafe { multiply_softmax(rows, scale, weights, place) }
    }

    fn prefers_bytes(&self) -> bool {
        true
    }
});

/// A panel's sixteen outputs in one register.
struct Whole;

impl Lanes for Whole {
    type Whole = __m512i;
    type Sums = __m512;
    type Groups = __m512i;

    const TALLEST: usize = 12;
    const WIDEST: usize = 2;

    #[inline(always)]
    unsafe fn nothing() -> (Self::Whole, Self::Sums) {
        // SAFETY: the caller has the instructions.
        unsafe { (_mm512_setzero_si512(), _mm512_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn words(weights: *const i16) -> Self::Groups {
        // SAFETY: as the caller promises.
        unsafe { _mm512_loadu_si512(weights.cast()) }
    }

    #[inline(always)]
    unsafe fn bytes(weights: *const i8) -> Self::Groups {
        // SAFETY: as the caller promises.
        unsafe { _mm512_cvtepi8_epi16(_mm256_loadu_si256(weights.cast())) }
    }

    #[inline(always)]
    unsafe fn dot(sums: Self::Whole, numbers: i32, weights: Self::Groups) -> Self::Whole {
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

impl ByteLanes for Whole {
    #[inline(always)]
    unsafe fn minus_zero(zero: i32, sums: *const i32) -> Self::Whole {
        // SAFETY: as the caller promises.
        unsafe { _mm512_mullo_epi32(_mm512_set1_epi32(-zero), _mm512_loadu_si512(sums.cast())) }
    }

    #[inline(always)]
    unsafe fn fours(weights: *const Byte) -> Self::Groups {
        // SAFETY: as the caller promises.
        unsafe { _mm512_loadu_si512(weights.cast()) }
    }

    #[inline(always)]
    unsafe fn dot_bytes(sums: Self::Whole, numbers: i32, weights: Self::Groups) -> Self::Whole {
        // SAFETY: the caller has the instructions.
        unsafe { _mm512_dpbusd_epi32(sums, _mm512_set1_epi32(numbers), weights) }
    }
}
