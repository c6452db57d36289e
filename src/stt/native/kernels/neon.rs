//! Kernels for 64-bit Arm processors, all of which have NEON.
//!
//! A tile of six rows and one panel is summed up in 24 registers; four hold the weights of a pair of inputs, those of the
//! first input apart from those of the second.

#![expect(unsafe_code, reason = "instructions that not every processor has, and pointers into slices checked before")]

use std::arch::aarch64::{
    float32x4_t, int8x16_t, int16x8_t, int32x4_t, vaddq_f32, vcvtq_f32_s32, vdupq_n_f32, vdupq_n_s32, vget_high_s8,
    vget_high_s16, vget_low_s8, vget_low_s16, vld1q_f32, vld2q_s8, vld2q_s16, vmlal_n_s16, vmovl_s8, vmulq_f32,
    vst1q_f32,
};
use std::arch::is_aarch64_feature_detected;

use super::compiled::compiled;
use super::panels::{PANEL, WholeRows};
use super::tiles::{self, Lanes, Load};
use super::{Kernels, Panels, Place, Rows, check, rowwise};

/// Exists only where the processor has NEON.
pub(super) struct Neon(());

impl Neon {
    pub(super) fn new() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

compiled!(Neon, FourQuarters, "neon");

/// Four outputs in each quarter.
struct FourQuarters;

impl Lanes for FourQuarters {
    type Whole = [int32x4_t; 4];
    type Sums = [float32x4_t; 4];
    /// Eight outputs in each half: the weights of the first input, then those of the second.
    type Groups = [[int16x8_t; 2]; 2];

    const TALLEST: usize = 6;
    const WIDEST: usize = 1;

    #[inline(always)]
    unsafe fn nothing() -> (Self::Whole, Self::Sums) {
        // SAFETY: the caller has the instructions.
        unsafe { ([vdupq_n_s32(0); 4], [vdupq_n_f32(0.0); 4]) }
    }

    #[inline(always)]
    unsafe fn words(weights: *const i16) -> Self::Groups {
        // SAFETY: as the caller promises.
        unsafe {
            let halves = [vld2q_s16(weights), vld2q_s16(weights.add(PANEL))];
            [[halves[0].0, halves[1].0], [halves[0].1, halves[1].1]]
        }
    }

    #[inline(always)]
    unsafe fn bytes(weights: *const i8) -> Self::Groups {
        // SAFETY: as the caller promises.
        unsafe {
            let pairs = vld2q_s8(weights);
            let words = |bytes: int8x16_t| [vmovl_s8(vget_low_s8(bytes)), vmovl_s8(vget_high_s8(bytes))];
            [words(pairs.0), words(pairs.1)]
        }
    }

    #[inline(always)]
    unsafe fn dot(mut sums: Self::Whole, numbers: i32, weights: Self::Groups) -> Self::Whole {
        // The first number of a pair is in the low half.
        for (number, weights) in [numbers as i16, (numbers >> 16) as i16].into_iter().zip(weights) {
            for (half, weights) in weights.into_iter().enumerate() {
                // SAFETY: the caller has the instructions.
                unsafe {
                    sums[2 * half] = vmlal_n_s16(sums[2 * half], vget_low_s16(weights), number);
                    sums[2 * half + 1] = vmlal_n_s16(sums[2 * half + 1], vget_high_s16(weights), number);
                }
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn add(mut sums: Self::Sums, whole: Self::Whole) -> Self::Sums {
        for (sum, whole) in sums.iter_mut().zip(whole) {
            // SAFETY: the caller has the instructions.
            *sum = unsafe { vaddq_f32(*sum, vcvtq_f32_s32(whole)) };
        }
        sums
    }

    #[inline(always)]
    unsafe fn store(sums: Self::Sums, scale: f32, scales: *const f32, to: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe {
            let scale = vdupq_n_f32(scale);
            for (quarter, sum) in sums.into_iter().enumerate() {
                let sum = vmulq_f32(vmulq_f32(sum, scale), vld1q_f32(scales.add(4 * quarter)));
                vst1q_f32(to.add(4 * quarter), sum);
            }
        }
    }
}
