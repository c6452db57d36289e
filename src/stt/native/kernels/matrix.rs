//! Matrices that rows are multiplied with, whatever their weights are stored as.

use super::panels::{Byte, Panels, Weight};
use super::{Kernels, Place, Rows};

/// Rows of weights, one for each output.
pub(in super::super) trait Matrix {
    /// Nothing but zeros, in a form that the kernels multiply.
    fn zeros(kernels: &dyn Kernels, outputs: usize, inputs: usize) -> Self;

    /// Takes a row for each output; rows begin `stride` after one another.
    fn set_rows(&mut self, rows: &[f32], stride: usize);

    fn outputs(&self) -> usize;

    /// Writes the product of each row with each row of the weights.
    ///
    /// # Panics
    /// When rows or place are too short for the weights.
    fn multiply(&self, kernels: &dyn Kernels, rows: Rows<'_>, place: Place<'_>);

    /// From a row of `inputs` weights for each output.
    fn of(kernels: &dyn Kernels, rows: &[f32], inputs: usize) -> Self
    where
        Self: Sized,
    {
        let mut matrix = Self::zeros(kernels, rows.len() / inputs, inputs);
        matrix.set_rows(rows, inputs);
        matrix
    }
}

impl<W: Weight> Matrix for Panels<W> {
    fn zeros(_kernels: &dyn Kernels, outputs: usize, inputs: usize) -> Self {
        Self::zeros(outputs, inputs)
    }

    fn set_rows(&mut self, rows: &[f32], stride: usize) {
        self.set_rows(rows, stride);
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn multiply(&self, kernels: &dyn Kernels, rows: Rows<'_>, place: Place<'_>) {
        W::multiply(kernels, rows, self, place);
    }
}

/// A matrix that meets many rows at once: arithmetic is what it costs, so its weights are what the processor multiplies
/// fastest.
#[derive(Debug)]
pub(in super::super) enum Dense {
    Words(Panels<i16>),
    Bytes(Panels<Byte>),
}

impl Dense {
    /// Takes a row for each input; rows begin `stride` after one another.
    pub(in super::super) fn set_columns(&mut self, rows: &[f32], stride: usize) {
        match self {
            Self::Words(panels) => panels.set_columns(rows, stride),
            Self::Bytes(panels) => panels.set_columns(rows, stride),
        }
    }

    /// As [`Matrix::multiply`], of softmax of each row times `scale`.
    ///
    /// # Panics
    /// As there.
    pub(in super::super) fn multiply_softmax(
        &self,
        kernels: &dyn Kernels,
        rows: Rows<'_>,
        scale: f32,
        place: Place<'_>,
    ) {
        match self {
            Self::Words(panels) => kernels.multiply_softmax(rows, scale, panels, place),
            Self::Bytes(panels) => kernels.multiply_softmax_all_bytes(rows, scale, panels, place),
        }
    }
}

impl Matrix for Dense {
    fn zeros(kernels: &dyn Kernels, outputs: usize, inputs: usize) -> Self {
        if kernels.prefers_bytes() && inputs <= Byte::BLOCK {
            Self::Bytes(Panels::zeros(outputs, inputs))
        } else {
            Self::Words(Panels::zeros(outputs, inputs))
        }
    }

    fn set_rows(&mut self, rows: &[f32], stride: usize) {
        match self {
            Self::Words(panels) => panels.set_rows(rows, stride),
            Self::Bytes(panels) => panels.set_rows(rows, stride),
        }
    }

    fn outputs(&self) -> usize {
        match self {
            Self::Words(panels) => panels.outputs,
            Self::Bytes(panels) => panels.outputs,
        }
    }

    fn multiply(&self, kernels: &dyn Kernels, rows: Rows<'_>, place: Place<'_>) {
        match self {
            Self::Words(panels) => kernels.multiply(rows, panels, place),
            Self::Bytes(panels) => kernels.multiply_all_bytes(rows, panels, place),
        }
    }
}
