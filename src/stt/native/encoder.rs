//! What a window sounds like: two convolutions, then blocks of attention and perceptron over 1,500 positions.

use super::kernels::{FloatPanels, Kernels, Place, Rows};
use super::layers::Linear;
use super::spectrogram::FRAMES;
use super::weights::{Encoder, EncoderBlock, Shape};

/// Positions whose attention is computed at a time: their scores stay in the second-level cache, and the scores of all
/// positions with all others are never there at once.
const QUERIES: usize = 48;

/// A row of `width` numbers for each position, of a spectrogram of [`FRAMES`] rows.
pub(super) fn encode(kernels: &dyn Kernels, encoder: &Encoder, shape: Shape, spectrogram: &[f32]) -> Vec<f32> {
    let [first, second] = &encoder.convolutions;
    let heard = convolve(kernels, first, spectrogram, shape.mels, 1, FRAMES);
    let mut heard = convolve(kernels, second, &heard, shape.width, 2, shape.audio_context);
    for (number, position) in heard.iter_mut().zip(&encoder.positions) {
        *number += position;
    }
    let mut desk = Desk::new(shape);
    for block in &encoder.blocks {
        desk.pass(kernels, block, shape, &mut heard);
    }
    let mut normal = desk.normal;
    encoder.norm.apply(kernels, &heard, &mut normal);
    normal
}

/// A convolution over three frames, every `step` frames, and GELU. Frames lie one after another, so three of them are
/// one row.
fn convolve(
    kernels: &dyn Kernels,
    convolution: &Linear<FloatPanels>,
    frames: &[f32],
    width: usize,
    step: usize,
    count: usize,
) -> Vec<f32> {
    let mut padded = vec![0.0; width];
    padded.extend_from_slice(frames);
    padded.resize(padded.len() + width, 0.0);
    let outputs = convolution.weight.outputs;
    let mut result = vec![0.0; count * outputs];
    let rows = Rows { numbers: &padded, stride: step * width, count };
    kernels.multiply(rows, &convolution.weight, Place::dense(&mut result, outputs));
    kernels.bias_gelu(&mut result, &convolution.bias);
    result
}

/// What a block needs beside its input, made once for all blocks.
struct Desk {
    normal: Vec<f32>,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    mixed: Vec<f32>,
    hidden: Vec<f32>,
    scores: Vec<f32>,
    head_keys: FloatPanels,
    head_values: FloatPanels,
}

impl Desk {
    fn new(shape: Shape) -> Self {
        let whole = || vec![0.0; shape.audio_context * shape.width];
        let head = shape.width / shape.audio_heads;
        Self {
            normal: whole(),
            queries: whole(),
            keys: whole(),
            values: whole(),
            mixed: whole(),
            hidden: vec![0.0; shape.audio_context * shape.width * 4],
            scores: vec![0.0; QUERIES * shape.audio_context],
            head_keys: FloatPanels::zeros(shape.audio_context, head),
            head_values: FloatPanels::zeros(head, shape.audio_context),
        }
    }

    fn pass(&mut self, kernels: &dyn Kernels, block: &EncoderBlock, shape: Shape, heard: &mut [f32]) {
        let width = shape.width;
        let attention = &block.attention;
        attention.norm.apply(kernels, heard, &mut self.normal);
        let normal = Rows::dense(&self.normal, width);
        attention.query.apply(kernels, normal, &mut self.queries);
        kernels.multiply(normal, &attention.key, Place::dense(&mut self.keys, width));
        attention.value.apply(kernels, normal, &mut self.values);
        self.attend(kernels, shape);
        attention.out.add_to(kernels, Rows::dense(&self.mixed, width), heard, &mut self.normal);
        block.perceptron.add_to(kernels, heard, &mut self.normal, &mut self.hidden);
    }

    fn attend(&mut self, kernels: &dyn Kernels, shape: Shape) {
        let (width, count) = (shape.width, shape.audio_context);
        let size = width / shape.audio_heads;
        let scale = 1.0 / (size as f32).sqrt();
        for head in 0..shape.audio_heads {
            let column = head * size;
            self.head_keys.set_rows(&self.keys[column..], width);
            self.head_values.set_columns(&self.values[column..], width);
            for first in (0..count).step_by(QUERIES) {
                let some = QUERIES.min(count - first);
                let at = first * width + column;
                let queries = Rows { numbers: &self.queries[at..], stride: width, count: some };
                kernels.multiply(queries, &self.head_keys, Place::dense(&mut self.scores, count));
                kernels.softmax(&mut self.scores[..some * count], count, scale);
                let scores = Rows { numbers: &self.scores, stride: count, count: some };
                let place = Place { numbers: &mut self.mixed[at..], stride: width };
                kernels.multiply(scores, &self.head_values, place);
            }
        }
    }
}
