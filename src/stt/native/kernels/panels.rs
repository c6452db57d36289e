//! Weights as whole numbers with a scale for each output, in the order in which the kernels read them.

use std::slice::ChunksExactMut;

use super::rowwise::{top_of, whole};
use super::{Kernels, Place, Rows};

/// Outputs side by side: two AVX2 vectors, one of AVX-512.
pub(in super::super) const PANEL: usize = 16;
/// The largest number of 16 bits, of a row and of weights: 12 bits with the sign.
const LARGEST: i32 = 2_047;

/// What a number of a row becomes.
pub(in super::super) trait Number: Copy + Default + Into<i32> + Send + Sync + 'static {
    /// The largest.
    const LARGEST: i32;

    /// Of a whole number that is not beyond [`Number::LARGEST`], nor below 0 where there is no sign.
    fn of(whole: i32) -> Self;

    /// Rounds a row, and says how it is meant.
    fn round(row: &[f32], to: &mut [Self]) -> Meant;
}

/// A number of a row is `scale` times what is left of the whole one without `zero`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Meant {
    pub(super) scale: f32,
    pub(super) zero: i32,
}

impl Number for i16 {
    const LARGEST: i32 = LARGEST;

    #[expect(clippy::cast_possible_truncation, reason = "at most 2,047")]
    #[inline(always)]
    fn of(whole: i32) -> Self {
        whole as Self
    }

    #[inline(always)]
    fn round(row: &[f32], to: &mut [Self]) -> Meant {
        let top = top_of(row, f32::abs).max(0.0);
        let share = if top > 0.0 { LARGEST as f32 / top } else { 0.0 };
        for (to, number) in to.iter_mut().zip(row) {
            *to = Self::of(whole(number * share, LARGEST));
        }
        Meant { scale: top / LARGEST as f32, zero: 0 }
    }
}

/// Processors multiply bytes that have a sign with bytes that have none: those of a row reach from its least number, or 0, to
/// its greatest, or 0, and what became of 0 is taken away from the sums.
impl Number for u8 {
    const LARGEST: i32 = 255;

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 255")]
    #[inline(always)]
    fn of(whole: i32) -> Self {
        whole as Self
    }

    #[inline(always)]
    fn round(row: &[f32], to: &mut [Self]) -> Meant {
        let (top, bottom) = (top_of(row, |number| number).max(0.0), top_of(row, |number| -number).max(0.0));
        let span = top + bottom;
        let share = if span > 0.0 { Self::LARGEST as f32 / span } else { 0.0 };
        let zero = whole(bottom * share, Self::LARGEST).max(0);
        for (to, number) in to.iter_mut().zip(row) {
            *to = Self::of((whole(number * share, Self::LARGEST) + zero).clamp(0, Self::LARGEST));
        }
        Meant { scale: span / Self::LARGEST as f32, zero }
    }
}

/// What a weight is stored as.
pub(in super::super) trait Weight: Copy + Default + Send + Sync + 'static {
    /// What rows become that meet such weights.
    type Number: Number;
    /// Inputs whose weights lie side by side: as many as have their numbers in 32 bits of a row.
    const GROUP: usize = size_of::<i32>() / size_of::<Self::Number>();
    /// Whether sums of weights are wanted, because rows have a zero.
    const IS_SUMMED: bool = false;
    /// Inputs whose products are added up as whole numbers of 32 bits, before the sum becomes a float.
    const BLOCK: usize;
    /// The largest weight of an output becomes this, or its negative.
    const LARGEST: i32;

    fn narrowed(whole: i32) -> Self;

    fn widened(self) -> i16;

    /// As [`Kernels::multiply`].
    fn multiply(kernels: &dyn Kernels, rows: Rows<'_>, weights: &Panels<Self>, place: Place<'_>);
}

/// For weights that meet many rows at once, unless [`Byte`] is faster.
impl Weight for i16 {
    type Number = Self;
    /// 512 × 2,047² is the most that 32 bits hold.
    const BLOCK: usize = 512;
    const LARGEST: i32 = LARGEST;

    #[expect(clippy::cast_possible_truncation, reason = "at most 2,047")]
    fn narrowed(whole: i32) -> Self {
        whole as Self
    }

    fn widened(self) -> i16 {
        self
    }

    fn multiply(kernels: &dyn Kernels, rows: Rows<'_>, weights: &Panels<Self>, place: Place<'_>) {
        kernels.multiply(rows, weights, place);
    }
}

/// For weights that meet few rows at a time, so that their bytes from memory are what counts.
impl Weight for i8 {
    type Number = i16;
    const BLOCK: usize = 512;
    const LARGEST: i32 = 127;

    #[expect(clippy::cast_possible_truncation, reason = "at most 127")]
    fn narrowed(whole: i32) -> Self {
        whole as Self
    }

    fn widened(self) -> i16 {
        self.into()
    }

    fn multiply(kernels: &dyn Kernels, rows: Rows<'_>, weights: &Panels<Self>, place: Place<'_>) {
        kernels.multiply_bytes(rows, weights, place);
    }
}

/// A byte that meets bytes: for weights that meet many rows at once, where the processor multiplies four bytes as fast as two
/// numbers of 16 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(transparent)]
pub(in super::super) struct Byte(i8);

impl Weight for Byte {
    type Number = u8;
    const IS_SUMMED: bool = true;
    /// 65,536 × 255 × 127 fits into 32 bits.
    const BLOCK: usize = 65_536;
    const LARGEST: i32 = 127;

    #[expect(clippy::cast_possible_truncation, reason = "at most 127")]
    fn narrowed(whole: i32) -> Self {
        Self(whole as i8)
    }

    fn widened(self) -> i16 {
        self.0.into()
    }

    fn multiply(kernels: &dyn Kernels, rows: Rows<'_>, weights: &Panels<Self>, place: Place<'_>) {
        kernels.multiply_all_bytes(rows, weights, place);
    }
}

/// A matrix of weights, `outputs` × `inputs`, in panels of [`PANEL`] outputs. Panels and groups of inputs are filled up with
/// zeros.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Panels<W> {
    pub(in super::super) outputs: usize,
    pub(in super::super) inputs: usize,
    weights: Vec<W>,
    /// One for each output, in whole panels.
    scales: Vec<f32>,
    /// Likewise: the sum of its weights, where that is wanted.
    sums: Vec<i32>,
}

/// The weights of one panel, or of several.
pub(super) struct Panel<'a, W> {
    pub(super) weights: &'a [W],
    /// As many for each panel as [`PANEL`] says.
    pub(super) scales: &'a [f32],
    /// Likewise.
    pub(super) sums: &'a [i32],
    pub(super) outputs: usize,
}

impl<W: Weight> Panels<W> {
    pub(in super::super) fn zeros(outputs: usize, inputs: usize) -> Self {
        assert!(!W::IS_SUMMED || inputs <= W::BLOCK, "a row's zero is taken from a single block");
        let panels = outputs.div_ceil(PANEL);
        let weights = vec![W::default(); panels * PANEL * inputs.next_multiple_of(W::GROUP)];
        Self { outputs, inputs, weights, scales: vec![0.0; panels * PANEL], sums: vec![0; panels * PANEL] }
    }

    /// From a row of `inputs` weights for each output.
    pub(in super::super) fn of(rows: &[f32], inputs: usize) -> Self {
        let mut panels = Self::zeros(rows.len() / inputs, inputs);
        panels.set_rows(rows, inputs);
        panels
    }

    /// Takes a row for each output; rows begin `stride` after one another.
    pub(in super::super) fn set_rows(&mut self, rows: &[f32], stride: usize) {
        let (length, inputs) = (self.length(), self.inputs);
        let mut narrowed = vec![W::default(); inputs.next_multiple_of(W::GROUP)];
        for output in 0..self.outputs {
            let row = &rows[output * stride..][..inputs];
            let share = set_scale::<W>(&mut self.scales[output], top_of(row, f32::abs));
            for (to, weight) in narrowed.iter_mut().zip(row) {
                *to = W::narrowed(whole(weight * share, W::LARGEST));
            }
            if W::IS_SUMMED {
                self.sums[output] = narrowed.iter().map(|weight| i32::from(weight.widened())).sum();
            }
            let panel = &mut self.weights[output / PANEL * length..][..length];
            let places = panel.chunks_exact_mut(W::GROUP).skip(output % PANEL).step_by(PANEL);
            for (place, group) in places.zip(narrowed.chunks_exact(W::GROUP)) {
                place.copy_from_slice(group);
            }
        }
    }

    /// The weights of one output, as they count.
    pub(in super::super) fn row(&self, output: usize) -> impl Iterator<Item = f32> + '_ {
        let first = output / PANEL * self.length() + output % PANEL * W::GROUP;
        let scale = self.scales[output];
        let groups = self.weights[first..].chunks(PANEL * W::GROUP);
        groups
            .flat_map(|group| &group[..W::GROUP])
            .take(self.inputs)
            .map(move |weight| f32::from(weight.widened()) * scale)
    }

    pub(super) fn panel(&self, index: usize) -> Panel<'_, W> {
        let length = self.length();
        Panel {
            weights: &self.weights[index * length..][..length],
            scales: &self.scales[index * PANEL..][..PANEL],
            sums: &self.sums[index * PANEL..][..PANEL],
            outputs: PANEL.min(self.outputs - index * PANEL),
        }
    }

    /// All panels from one on.
    pub(super) fn from(&self, index: usize) -> Panel<'_, W> {
        Panel {
            weights: &self.weights[index * self.length()..],
            scales: &self.scales[index * PANEL..],
            sums: &self.sums[index * PANEL..],
            outputs: self.outputs - index * PANEL,
        }
    }

    /// Weights of a panel.
    const fn length(&self) -> usize {
        PANEL * self.inputs.next_multiple_of(W::GROUP)
    }

    /// Takes a row for each input; rows begin `stride` after one another.
    pub(in super::super) fn set_columns(&mut self, rows: &[f32], stride: usize) {
        let (length, outputs) = (self.length(), self.outputs);
        let mut shares = vec![0.0_f32; outputs];
        for input in 0..self.inputs {
            for (top, weight) in shares.iter_mut().zip(&rows[input * stride..]) {
                *top = if weight.abs() > *top { weight.abs() } else { *top };
            }
        }
        for (share, scale) in shares.iter_mut().zip(&mut self.scales) {
            *share = set_scale::<W>(scale, *share);
        }
        self.sums.fill(0);
        for input in 0..self.inputs {
            let (group, at) = (input / W::GROUP, input % W::GROUP);
            let row = &rows[input * stride..][..outputs];
            let panels = row.chunks(PANEL).zip(shares.chunks(PANEL)).zip(self.sums.chunks_mut(PANEL));
            for (panel, ((row, shares), sums)) in panels.enumerate() {
                let places = &mut self.weights[panel * length + group * PANEL * W::GROUP..][..PANEL * W::GROUP];
                let weights = row.iter().zip(shares).zip(sums);
                for (place, ((weight, share), sum)) in places.chunks_exact_mut(W::GROUP).zip(weights) {
                    let narrowed = whole(weight * share, W::LARGEST);
                    place[at] = W::narrowed(narrowed);
                    if W::IS_SUMMED {
                        *sum += narrowed;
                    }
                }
            }
        }
    }
}

/// Notes the scale of an output whose largest weight is `top`, and returns what its weights are multiplied with.
fn set_scale<W: Weight>(scale: &mut f32, top: f32) -> f32 {
    *scale = top.max(0.0) / W::LARGEST as f32;
    if top > 0.0 { W::LARGEST as f32 / top } else { 0.0 }
}

/// Rows of numbers as whole numbers; each row is filled up to whole 32 bits.
#[derive(Debug, Default)]
pub(super) struct WholeRows<N> {
    pub(super) numbers: Vec<N>,
    pub(super) meant: Vec<Meant>,
}

impl<N: Number> WholeRows<N> {
    /// Rows with room for `inputs` numbers, which mean nothing yet.
    pub(super) fn reset(&mut self, rows: usize, inputs: usize) -> (ChunksExactMut<'_, N>, &mut Vec<Meant>) {
        let length = inputs.next_multiple_of(size_of::<i32>() / size_of::<N>());
        self.numbers.clear();
        self.numbers.resize(rows * length, N::default());
        self.meant.clear();
        (self.numbers.chunks_exact_mut(length), &mut self.meant)
    }
}
