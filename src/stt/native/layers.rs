//! What encoder and decoder are made of: the layers that both have, over matrices of any kind.

use super::kernels::{Kernels, Matrix, Place, Rows};

/// Multiplies and adds.
pub(super) struct Linear<M> {
    pub(super) weight: M,
    pub(super) bias: Vec<f32>,
}

impl<M: Matrix> Linear<M> {
    /// Writes the rows' products plus the bias.
    pub(super) fn apply(&self, kernels: &dyn Kernels, rows: Rows<'_>, to: &mut [f32]) {
        self.weight.multiply(kernels, rows, Place::dense(to, self.weight.outputs()));
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

/// `M` = the kind of matrices for what asks, `N` for what is attended to.
pub(super) struct Attention<M, N = M> {
    pub(super) norm: Norm,
    pub(super) query: Linear<M>,
    /// It has no bias.
    pub(super) key: N,
    pub(super) value: Linear<N>,
    pub(super) out: Linear<M>,
}

/// Four times as wide in its middle.
pub(super) struct Perceptron<M> {
    pub(super) norm: Norm,
    pub(super) up: Linear<M>,
    pub(super) down: Linear<M>,
}

impl<M: Matrix> Perceptron<M> {
    /// Adds what it makes of `stream`. `normal` is as large, `hidden` four times.
    pub(super) fn add_to(&self, kernels: &dyn Kernels, stream: &mut [f32], normal: &mut [f32], hidden: &mut [f32]) {
        let width = self.norm.weight.len();
        self.norm.apply(kernels, stream, normal);
        self.up.weight.multiply(kernels, Rows::dense(normal, width), Place::dense(hidden, 4 * width));
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
