//! What encoder and decoder are made of: the layers that both have, over weights of either kind.

use super::kernels::{Kernels, Panels, Place, Rows, Weight};

/// Multiplies and adds.
pub(super) struct Linear<W> {
    pub(super) weight: Panels<W>,
    pub(super) bias: Vec<f32>,
}

impl<W: Weight> Linear<W> {
    /// Writes the rows' products plus the bias.
    pub(super) fn apply(&self, kernels: &dyn Kernels, rows: Rows<'_>, to: &mut [f32]) {
        W::multiply(kernels, rows, &self.weight, Place::dense(to, self.weight.outputs));
        for row in to.chunks_exact_mut(self.bias.len()) {
            row.iter_mut().zip(&self.bias).for_each(|(number, bias)| *number += bias);
        }
    }

    /// Adds the rows' products and the bias to `stream`; `desk` has room for the products.
    pub(super) fn add_to(&self, kernels: &dyn Kernels, rows: Rows<'_>, stream: &mut [f32], desk: &mut [f32]) {
        self.apply(kernels, rows, desk);
        stream.iter_mut().zip(desk).for_each(|(number, news)| *number += *news);
    }
}

pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Norm {
    pub(super) fn apply(&self, kernels: &dyn Kernels, rows: &[f32], to: &mut [f32]) {
        kernels.normalize(rows, &self.weight, &self.bias, to);
    }
}

/// `W` = the kind of weights for what asks, `V` for what is attended to.
pub(super) struct Attention<W, V = W> {
    pub(super) norm: Norm,
    pub(super) query: Linear<W>,
    /// It has no bias.
    pub(super) key: Panels<V>,
    pub(super) value: Linear<V>,
    pub(super) out: Linear<W>,
}

/// Four times as wide in its middle.
pub(super) struct Perceptron<W> {
    pub(super) norm: Norm,
    pub(super) up: Linear<W>,
    pub(super) down: Linear<W>,
}

impl<W: Weight> Perceptron<W> {
    /// Adds what it makes of `stream`. `normal` is as large, `hidden` four times.
    pub(super) fn add_to(&self, kernels: &dyn Kernels, stream: &mut [f32], normal: &mut [f32], hidden: &mut [f32]) {
        let width = self.norm.weight.len();
        self.norm.apply(kernels, stream, normal);
        W::multiply(kernels, Rows::dense(normal, width), &self.up.weight, Place::dense(hidden, 4 * width));
        kernels.bias_gelu(hidden, &self.up.bias);
        self.down.add_to(kernels, Rows::dense(hidden, 4 * width), stream, normal);
    }
}

/// Room for what blocks need beside their input, made once for all of them.
pub(super) struct Desk {
    pub(super) normal: Vec<f32>,
    pub(super) queries: Vec<f32>,
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
    pub(super) mixed: Vec<f32>,
    pub(super) hidden: Vec<f32>,
}

impl Desk {
    /// For so many rows of `width` numbers.
    pub(super) fn new(rows: usize, width: usize) -> Self {
        let whole = || vec![0.0; rows * width];
        let hidden = vec![0.0; rows * width * 4];
        Self { normal: whole(), queries: whole(), keys: whole(), values: whole(), mixed: whole(), hidden }
    }
}
