//! Weights as whole numbers with a scale for each output, in the order in which the kernels read them.

use super::rowwise::whole;
use super::{Kernels, Place, Rows};

/// Outputs side by side: two AVX2 vectors, one of AVX-512.
pub(in crate::stt::native) const PANEL: usize = 16;
/// A panel holds the two weights of a pair of inputs side by side, which is what processors multiply and add at once.
pub(super) const PAIR: usize = 2;
/// The largest number of a row that meets weights: 12 bits with the sign.
pub(super) const LARGEST: i32 = 2_047;
/// Inputs whose products are added up as whole numbers, before the sum becomes a float: 512 × 2,047² is the most that 32
/// bits hold.
pub(super) const BLOCK: usize = 512;

/// What a weight is stored as.
pub(in crate::stt::native) trait Weight: Copy + Default + Send + Sync + 'static {
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
#[derive(Debug, Clone)]
pub(in crate::stt::native) struct Panels<W> {
    pub(in crate::stt::native) outputs: usize,
    pub(in crate::stt::native) inputs: usize,
    weights: Vec<W>,
    /// One for each output, in whole panels.
    scales: Vec<f32>,
}

/// The weights of one panel.
pub(super) struct Panel<'a, W> {
    pub(super) weights: &'a [W],
    /// As many as [`PANEL`] says.
    pub(super) scales: &'a [f32],
    pub(super) outputs: usize,
}

impl<W: Weight> Panels<W> {
    pub(in crate::stt::native) fn zeros(outputs: usize, inputs: usize) -> Self {
        let panels = outputs.div_ceil(PANEL);
        let weights = vec![W::default(); panels * PANEL * PAIR * inputs.div_ceil(PAIR)];
        Self { outputs, inputs, weights, scales: vec![0.0; panels * PANEL] }
    }

    /// From a row of `inputs` weights for each output.
    pub(in crate::stt::native) fn of(rows: &[f32], inputs: usize) -> Self {
        let mut panels = Self::zeros(rows.len() / inputs, inputs);
        panels.set_rows(rows, inputs);
        panels
    }

    /// Takes a row for each output; rows begin `stride` after one another.
    pub(in crate::stt::native) fn set_rows(&mut self, rows: &[f32], stride: usize) {
        let length = self.length();
        for first in (0..self.outputs).step_by(PANEL) {
            let row_of = |output: usize| &rows[output * stride..][..self.inputs];
            let some = first..self.outputs.min(first + PANEL);
            let tops =
                some.clone().map(|output| row_of(output).iter().fold(0.0_f32, |top, weight| top.max(weight.abs())));
            let shares: Vec<f32> =
                some.clone().zip(tops).map(|(output, top)| set_scale::<W>(&mut self.scales, output, top)).collect();
            let panel = &mut self.weights[first / PANEL * length..][..length];
            for (pair, places) in panel.chunks_exact_mut(PANEL * PAIR).enumerate() {
                for ((places, output), share) in places.chunks_exact_mut(PAIR).zip(some.clone()).zip(&shares) {
                    for (place, weight) in places.iter_mut().zip(&row_of(output)[pair * PAIR..]) {
                        *place = W::narrowed(whole(weight * share, W::LARGEST));
                    }
                }
            }
        }
    }

    /// Takes a row for each input; rows begin `stride` after one another.
    pub(in crate::stt::native) fn set_columns(&mut self, rows: &[f32], stride: usize) {
        let length = self.length();
        let mut tops = vec![0.0_f32; self.outputs];
        for input in 0..self.inputs {
            for (top, weight) in tops.iter_mut().zip(&rows[input * stride..]) {
                *top = top.max(weight.abs());
            }
        }
        let shares: Vec<f32> =
            tops.iter().enumerate().map(|(output, top)| set_scale::<W>(&mut self.scales, output, *top)).collect();
        for input in 0..self.inputs {
            let row = &rows[input * stride..][..self.outputs];
            for (panel, (weights, shares)) in row.chunks(PANEL).zip(shares.chunks(PANEL)).enumerate() {
                let at = panel * length + input / PAIR * PANEL * PAIR + input % PAIR;
                let places = self.weights[at..].iter_mut().step_by(PAIR);
                for ((place, weight), share) in places.zip(weights).zip(shares) {
                    *place = W::narrowed(whole(weight * share, W::LARGEST));
                }
            }
        }
    }

    /// The weights of one output, as they count.
    pub(in crate::stt::native) fn row(&self, output: usize) -> impl Iterator<Item = f32> + '_ {
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

    /// Weights of a panel.
    const fn length(&self) -> usize {
        PANEL * PAIR * self.inputs.div_ceil(PAIR)
    }
}

/// Notes the scale of an output whose largest weight is `top`, and returns what its weights are multiplied with.
fn set_scale<W: Weight>(scales: &mut [f32], output: usize, top: f32) -> f32 {
    scales[output] = top / W::LARGEST as f32;
    if top > 0.0 { W::LARGEST as f32 / top } else { 0.0 }
}

/// Rows of numbers as whole numbers with a scale for each row; each row is filled up to whole pairs with a zero.
#[derive(Debug, Default)]
pub(super) struct WholeRows {
    pub(super) numbers: Vec<i16>,
    pub(super) scales: Vec<f32>,
}
