//! What encoder and decoder are made of: the layers that both have, over weights of either kind.

use super::kernels::{BytePanels, FloatPanels, Kernels, Place, Rows};

/// Weights that rows can be multiplied with.
pub(super) trait Panels {
    /// As [`Kernels::multiply`].
    fn multiply(&self, kernels: &dyn Kernels, rows: Rows<'_>, place: Place<'_>);

    fn outputs(&self) -> usize;
}

impl Panels for FloatPanels {
    fn multiply(&self, kernels: &dyn Kernels, rows: Rows<'_>, place: Place<'_>) {
        kernels.multiply(rows, self, place);
    }

    fn outputs(&self) -> usize {
        self.outputs
    }
}

impl Panels for BytePanels {
    fn multiply(&self, kernels: &dyn Kernels, rows: Rows<'_>, place: Place<'_>) {
        kernels.multiply_bytes(rows, self, place);
    }

    fn outputs(&self) -> usize {
        self.outputs
    }
}

/// Multiplies and adds.
pub(super) struct Linear<P> {
    pub(super) weight: P,
    pub(super) bias: Vec<f32>,
}

impl<P: Panels> Linear<P> {
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

/// `P` = the kind of weights for what asks, `Q` for what is attended to.
pub(super) struct Attention<P, Q = P> {
    pub(super) norm: Norm,
    pub(super) query: Linear<P>,
    /// It has no bias.
    pub(super) key: Q,
    pub(super) value: Linear<Q>,
    pub(super) out: Linear<P>,
}

/// Four times as wide in its middle.
pub(super) struct Perceptron<P> {
    pub(super) norm: Norm,
    pub(super) up: Linear<P>,
    pub(super) down: Linear<P>,
}

impl<P: Panels> Perceptron<P> {
    /// Adds what it makes of `stream`. `normal` is as large, `hidden` four times.
    pub(super) fn add_to(&self, kernels: &dyn Kernels, stream: &mut [f32], normal: &mut [f32], hidden: &mut [f32]) {
        let width = self.norm.weight.len();
        self.norm.apply(kernels, stream, normal);
        self.up.weight.multiply(kernels, Rows::dense(normal, width), Place::dense(hidden, 4 * width));
        kernels.bias_gelu(hidden, &self.up.bias);
        self.down.add_to(kernels, Rows::dense(hidden, 4 * width), stream, normal);
    }
}
