//! Kernels for any processor, and what the others are compared with.

use super::panels::PANEL;
use super::{BytePanels, FloatPanels, Kernels, Place, Rows, check, rowwise};

pub(super) struct Portable;

impl Kernels for Portable {
    fn multiply(&self, rows: Rows<'_>, weights: &FloatPanels, place: Place<'_>) {
        check(&rows, weights.inputs, weights.outputs, &place);
        for index in 0..weights.outputs.div_ceil(PANEL) {
            let (panel, outputs) = weights.panel(index);
            for row in 0..rows.count {
                let mut sums = [0.0_f32; PANEL];
                let (of_inputs, _) = panel.as_chunks::<PANEL>();
                for (number, weights) in rows.numbers[row * rows.stride..].iter().zip(of_inputs) {
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += number * weight;
                    }
                }
                place.numbers[row * place.stride + index * PANEL..][..outputs].copy_from_slice(&sums[..outputs]);
            }
        }
    }

    fn multiply_bytes(&self, rows: Rows<'_>, weights: &BytePanels, place: Place<'_>) {
        check(&rows, weights.inputs, weights.outputs, &place);
        for index in 0..weights.outputs.div_ceil(PANEL) {
            let panel = weights.panel(index);
            for row in 0..rows.count {
                let mut sums = [0.0_f32; PANEL];
                let (of_inputs, _) = panel.weights.as_chunks::<PANEL>();
                for (number, weights) in rows.numbers[row * rows.stride..].iter().zip(of_inputs) {
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += number * f32::from(*weight);
                    }
                }
                let to = &mut place.numbers[row * place.stride + index * PANEL..][..panel.outputs];
                for ((to, sum), scale) in to.iter_mut().zip(sums).zip(panel.scales) {
                    *to = sum * scale;
                }
            }
        }
    }

    fn softmax(&self, rows: &mut [f32], width: usize, scale: f32) {
        rowwise::softmax::<false>(rows, width, scale);
    }

    fn bias_gelu(&self, rows: &mut [f32], bias: &[f32]) {
        rowwise::bias_gelu::<false>(rows, bias);
    }

    fn normalize(&self, rows: &[f32], weight: &[f32], bias: &[f32], to: &mut [f32]) {
        rowwise::normalize(rows, weight, bias, to);
    }
}
