//! The arithmetic of the engine: products of matrices, and what is done to rows between them.
//!
//! Each instruction set has its own [`Kernels`]. Which of them runs is decided once, when a model is loaded, from what
//! the processor says that it can do; never when the program is built. [`Isa`] names them, so that all of those that a
//! machine has can be tested on it.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod compiled;
mod matrix;
#[cfg(target_arch = "aarch64")]
mod neon;
mod panels;
mod portable;
mod rowwise;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod tiles;

pub(super) use matrix::{Dense, Matrix};
pub(super) use panels::{Byte, Panels};

use crate::config::Isa;

impl Isa {
    /// The fastest that this processor has.
    #[must_use]
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }

    /// Whether this processor has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        self.own_kernels().is_some()
    }

    /// Its kernels; the portable ones where the processor does not have it.
    pub(super) fn kernels(self) -> Box<dyn Kernels> {
        self.own_kernels().unwrap_or_else(|| Box::new(portable::Portable::default()))
    }

    fn own_kernels(self) -> Option<Box<dyn Kernels>> {
        match self {
            Self::Portable => Some(Box::new(portable::Portable::default())),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Some(Box::new(avx2::Avx2::new()?)),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Some(Box::new(avx512::Avx512::new()?)),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Some(Box::new(neon::Neon::new()?)),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => None,
            #[cfg(not(target_arch = "aarch64"))]
            Self::Neon => None,
        }
    }
}

/// Portable kernels that prefer bytes, as those of AVX-512 do.
#[cfg(test)]
pub(super) fn portable_in_bytes() -> Box<dyn Kernels> {
    Box::new(portable::Portable { prefers_bytes: true })
}

/// Rows of numbers, each of which begins `stride` after the one before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) numbers: &'a [f32],
    pub(super) stride: usize,
    pub(super) count: usize,
}

impl<'a> Rows<'a> {
    /// Rows of `width` numbers without gaps.
    pub(super) fn dense(numbers: &'a [f32], width: usize) -> Self {
        Self { numbers, stride: width, count: numbers.len() / width }
    }

    /// Whether each row holds at least `width` numbers.
    fn hold(&self, width: usize) -> bool {
        self.count == 0 || self.numbers.len() >= (self.count - 1) * self.stride + width
    }
}

/// Where a product goes: the rows of the result begin `stride` after one another.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) numbers: &'a mut [f32],
    pub(super) stride: usize,
}

impl<'a> Place<'a> {
    pub(super) fn dense(numbers: &'a mut [f32], width: usize) -> Self {
        Self { numbers, stride: width }
    }

    fn holds(&self, count: usize, width: usize) -> bool {
        self.stride >= width && (count == 0 || self.numbers.len() >= (count - 1) * self.stride + width)
    }
}

/// Panics unless a product reads and writes what it is given.
fn check(rows: &Rows<'_>, inputs: usize, outputs: usize, place: &Place<'_>) {
    assert!(rows.hold(inputs), "the rows are shorter than the weights");
    assert!(place.holds(rows.count, outputs), "the result has no room");
}

/// What an engine computes with. Products are those of [`portable`] to the last bit, since they are sums of whole numbers;
/// other results but for rounding.
pub(super) trait Kernels: Send + Sync {
    /// Writes the product of each row with each row of the weights. The row is rounded to whole numbers of 12 bits of its
    /// own scale.
    ///
    /// # Panics
    /// When rows or place are too short for the weights.
    fn multiply(&self, rows: Rows<'_>, weights: &Panels<i16>, place: Place<'_>);

    /// As [`Kernels::multiply`], with weights in bytes.
    fn multiply_bytes(&self, rows: Rows<'_>, weights: &Panels<i8>, place: Place<'_>);

    /// As [`Kernels::multiply`], with rows and weights in bytes.
    fn multiply_all_bytes(&self, rows: Rows<'_>, weights: &Panels<Byte>, place: Place<'_>) {
        portable::multiply(rows, weights, place);
    }

    /// Whether [`Kernels::multiply_all_bytes`] takes less time than [`Kernels::multiply`].
    fn prefers_bytes(&self) -> bool {
        false
    }

    /// As [`Kernels::multiply`], of softmax of each row times `scale`.
    fn multiply_softmax(&self, rows: Rows<'_>, scale: f32, weights: &Panels<i16>, place: Place<'_>);

    /// As [`Kernels::multiply_softmax`], with rows and weights in bytes.
    fn multiply_softmax_all_bytes(&self, rows: Rows<'_>, scale: f32, weights: &Panels<Byte>, place: Place<'_>) {
        portable::multiply_softmax(rows, scale, weights, place);
    }

    /// Softmax of each row of `width` numbers times `scale`, in place.
    fn softmax(&self, rows: &mut [f32], width: usize, scale: f32);

    /// Attention of one query to rows of keys and values of its length, which begin `stride` after one another: writes the
    /// values, each as often as softmax gives its key. There are as many rows as `scores` has numbers.
    ///
    /// # Panics
    /// When there are fewer rows.
    fn attend(&self, query: &[f32], rows: (&[f32], &[f32]), stride: usize, scores: &mut [f32], to: &mut [f32]);

    /// Adds the bias to each row, then GELU in its tanh form, in place.
    fn bias_gelu(&self, rows: &mut [f32], bias: &[f32]);

    /// Each row less its mean, over its deviation, times `weight`, plus `bias`.
    fn normalize(&self, rows: &[f32], weight: &[f32], bias: &[f32], to: &mut [f32]);
}

#[cfg(test)]
mod tests;
