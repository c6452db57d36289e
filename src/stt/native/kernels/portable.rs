//! Kernels for any processor, and what the others are compared with.

use super::panels::{PANEL, Weight, WholeRows};
use super::{Kernels, Panels, Place, Rows, check, rowwise};

#[derive(Default)]
pub(super) struct Portable {
    /// Bytes are not faster here; tests prefer them where no processor does.
    pub(super) prefers_bytes: bool,
}

impl Kernels for Portable {
    fn multiply(&self, rows: Rows<'_>, weights: &Panels<i16>, place: Place<'_>) {
        multiply(rows, weights, place);
    }

    fn multiply_bytes(&self, rows: Rows<'_>, weights: &Panels<i8>, place: Place<'_>) {
        multiply(rows, weights, place);
    }

    fn prefers_bytes(&self) -> bool {
        self.prefers_bytes
    }

    fn multiply_softmax(&self, rows: Rows<'_>, scale: f32, weights: &Panels<i16>, place: Place<'_>) {
        multiply_softmax(rows, scale, weights, place);
    }

    fn softmax(&self, rows: &mut [f32], width: usize, scale: f32) {
        rowwise::softmax::<false>(rows, width, scale);
    }

    fn attend(&self, query: &[f32], rows: (&[f32], &[f32]), stride: usize, scores: &mut [f32], to: &mut [f32]) {
        rowwise::attend::<false>(query, rows, stride, scores, to);
    }

    fn bias_gelu(&self, rows: &mut [f32], bias: &[f32]) {
        rowwise::bias_gelu::<false>(rows, bias);
    }

    fn normalize(&self, rows: &[f32], weight: &[f32], bias: &[f32], to: &mut [f32]) {
        rowwise::normalize(rows, weight, bias, to);
    }
}

/// As [`Kernels::multiply`], with any weights.
pub(super) fn multiply<W: Weight>(rows: Rows<'_>, weights: &Panels<W>, place: Place<'_>) {
    check(&rows, weights.inputs, weights.outputs, &place);
    let mut whole = WholeRows::default();
    rowwise::make_whole(&mut whole, rows, 0..rows.count, weights.inputs);
    multiply_whole(&whole, weights, place);
}

/// As [`Kernels::multiply_softmax`], with any weights.
pub(super) fn multiply_softmax<W: Weight>(rows: Rows<'_>, scale: f32, weights: &Panels<W>, place: Place<'_>) {
    check(&rows, weights.inputs, weights.outputs, &place);
    let mut whole = WholeRows::default();
    rowwise::make_whole_softmax::<false, W::Number>(&mut whole, rows, 0..rows.count, weights.inputs, scale);
    multiply_whole(&whole, weights, place);
}

fn multiply_whole<W: Weight>(whole: &WholeRows<W::Number>, weights: &Panels<W>, place: Place<'_>) {
    let length = weights.inputs.next_multiple_of(W::GROUP);
    for index in 0..weights.outputs.div_ceil(PANEL) {
        let panel = weights.panel(index);
        for (row, (numbers, meant)) in whole.numbers.chunks_exact(length).zip(&whole.meant).enumerate() {
            let mut totals = [0.0_f32; PANEL];
            // So the compiler knows that words have none.
            let zero = if W::IS_SUMMED { meant.zero } else { 0 };
            let blocks = numbers.chunks(W::BLOCK).zip(panel.weights.chunks(W::BLOCK * PANEL));
            for (numbers, weights) in blocks {
                let mut sums = [0_i32; PANEL];
                for (group, weights) in numbers.chunks_exact(W::GROUP).zip(weights.chunks_exact(PANEL * W::GROUP)) {
                    for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(W::GROUP)) {
                        let products = group.iter().zip(weights);
                        let product = |(number, weight): (&W::Number, &W)| {
                            ((*number).into() - zero) * i32::from(weight.widened())
                        };
                        *sum += products.map(product).sum::<i32>();
                    }
                }
                totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum as f32);
            }
            let to = &mut place.numbers[row * place.stride + index * PANEL..][..panel.outputs];
            for ((to, total), of_output) in to.iter_mut().zip(totals).zip(panel.scales) {
                *to = total * meant.scale * of_output;
            }
        }
    }
}
