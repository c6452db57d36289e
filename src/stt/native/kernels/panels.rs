//! Weights as whole numbers with a scale for each output, in the order in which the kernels read them.

use std::slice::ChunksExactMut;

use super::rowwise::{top_of, whole};
use super::{Kernels, Place, Rows};

/// Outputs side by side: two AVX2 vectors, one of AVX-512.
pub(in super::super) const PANEL: usize = 16;
/// A panel holds the two weights of a pair of inputs side by side, which is what processors multiply and add at once.
pub(super) const PAIR: usize = 2;
/// The largest number of a row that meets weights: 12 bits with the sign.
pub(super) const LARGEST: i32 = 2_047;
/// Inputs whose products are added up as whole numbers, before the sum becomes a float: 512 × 2,047² is the most that 32
/// bits hold.
pub(super) const BLOCK: usize = 512;

/// What a weight is stored as.
pub(in super::super) trait Weight: Copy + Default + Send + Sync + 'static {
    /// The largest weight of an output becomes this, or its negative.
    const LARGEST: i32;

    fn narrowed(whole: i32) -> Self;

    fn widened(self) -> i16;

    /// As [`Kernels::multiply`].
    fn multiply(kernels: &dyn Kernels, rows: Rows<'_>, weights: &Panels<Self>, place: Place<'_>);
}

/// For weights that meet many rows at once.
impl Weight for i16 {
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

/// A matrix of weights, `outputs` × `inputs`, in panels of [`PANEL`] outputs. Panels and pairs are filled up with zeros.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Panels<W> {
    pub(in super::super) outputs: usize,
    pub(in super::super) inputs: usize,
    weights: Vec<W>,
    /// One for each output, in whole panels.
    scales: Vec<f32>,
}

/// The weights of one panel, or of several.
pub(super) struct Panel<'a, W> {
    pub(super) weights: &'a [W],
    /// As many for each panel as [`PANEL`] says.
    pub(super) scales: &'a [f32],
    pub(super) outputs: usize,
}

impl<W: Weight> Panels<W> {
    pub(in super::super) fn zeros(outputs: usize, inputs: usize) -> Self {
        let panels = outputs.div_ceil(PANEL);
        let weights = vec![W::default(); panels * PANEL * PAIR * inputs.div_ceil(PAIR)];
        Self { outputs, inputs, weights, scales: vec![0.0; panels * PANEL] }
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
        let mut narrowed = vec![W::default(); inputs.next_multiple_of(PAIR)];
        for output in 0..self.outputs {
            let row = &rows[output * stride..][..inputs];
            let share = set_scale::<W>(&mut self.scales[output], top_of(row, f32::abs));
            for (to, weight) in narrowed.iter_mut().zip(row) {
                *to = W::narrowed(whole(weight * share, W::LARGEST));
            }
            let panel = &mut self.weights[output / PANEL * length..][..length];
            let places = panel.as_chunks_mut::<PAIR>().0.iter_mut().skip(output % PANEL).step_by(PANEL);
            for (place, pair) in places.zip(narrowed.as_chunks::<PAIR>().0) {
                *place = *pair;
            }
        }
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
        let nothing = vec![0.0; outputs];
        for (pair, input) in (0..self.inputs).step_by(PAIR).enumerate() {
            let one = &rows[input * stride..][..outputs];
            let other = if input + 1 < self.inputs { &rows[(input + 1) * stride..][..outputs] } else { &nothing };
            let panels = one.chunks(PANEL).zip(other.chunks(PANEL)).zip(shares.chunks(PANEL));
            for (panel, ((one, other), shares)) in panels.enumerate() {
                let places = &mut self.weights[panel * length + pair * PANEL * PAIR..][..PANEL * PAIR];
                let weights = one.iter().zip(other).zip(shares);
                for (place, ((one, other), share)) in places.as_chunks_mut::<PAIR>().0.iter_mut().zip(weights) {
                    *place = [one, other].map(|weight| W::narrowed(whole(weight * share, W::LARGEST)));
                }
            }
        }
    }

    /// The weights of one output, as they count.
    pub(in super::super) fn row(&self, output: usize) -> impl Iterator<Item = f32> + '_ {
        let first = output / PANEL * self.length() + output % PANEL * PAIR;
        let scale = self.scales[output];
        let pairs = self.weights[first..].chunks(PANEL * PAIR);
        pairs.flat_map(|pair| &pair[..PAIR]).take(self.inputs).map(move |weight| f32::from(weight.widened()) * scale)
    }

    pub(super) fn panel(&self, index: usize) -> Panel<'_, W> {
        let length = self.length();
        Panel {
            weights: &self.weights[index * length..][..length],
            scales: &self.scales[index * PANEL..][..PANEL],
            outputs: PANEL.min(self.outputs - index * PANEL),
        }
    }

    /// All panels from one on.
    pub(super) fn from(&self, index: usize) -> Panel<'_, W> {
        Panel {
            weights: &self.weights[index * self.length()..],
            scales: &self.scales[index * PANEL..],
            outputs: self.outputs - index * PANEL,
        }
    }

    /// Weights of a panel.
    const fn length(&self) -> usize {
        PANEL * PAIR * self.inputs.div_ceil(PAIR)
    }
}

/// Notes the scale of an output whose largest weight is `top`, and returns what its weights are multiplied with.
fn set_scale<W: Weight>(scale: &mut f32, top: f32) -> f32 {
    *scale = top.max(0.0) / W::LARGEST as f32;
    if top > 0.0 { W::LARGEST as f32 / top } else { 0.0 }
}

/// Rows of numbers as whole numbers with a scale for each row; each row is filled up to whole pairs with a zero.
#[derive(Debug, Default)]
pub(super) struct WholeRows {
    pub(super) numbers: Vec<i16>,
    pub(super) scales: Vec<f32>,
}

impl WholeRows {
    /// Rows of zeros with room for `inputs` numbers, and no scales.
    pub(super) fn reset(&mut self, rows: usize, inputs: usize) -> (ChunksExactMut<'_, i16>, &mut Vec<f32>) {
        let length = inputs.next_multiple_of(PAIR);
        self.numbers.clear();
        self.numbers.resize(rows * length, 0);
        self.scales.clear();
        (self.numbers.chunks_exact_mut(length), &mut self.scales)
    }
}
