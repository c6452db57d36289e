//! What a window sounds like: two convolutions, then blocks of attention and perceptron over 1,500 positions.
//!
//! Threads take a share of the positions each; only the keys and values of a block are of all of them.

use super::kernels::{Panels, Place, Rows};
use super::layers::{Desk, Linear};
use super::spectrogram::{FRAMES, FRAMES_PER_POSITION};
use super::team::Team;
use super::weights::{Encoder, EncoderBlock, Shape};

/// Positions whose attention is computed at a time: their scores stay in the second-level cache, and the scores of all
/// positions with all others are never there at once.
const QUERIES: usize = 48;

/// A row of `width` numbers for each position, of a spectrogram of [`FRAMES`] rows. `None` as soon as `keep_on`, which is
/// asked before each block, says no.
pub(super) fn encode(
    team: Team<'_>,
    encoder: &Encoder,
    shape: Shape,
    spectrogram: &[f32],
    keep_on: impl Fn() -> bool,
) -> Option<Vec<f32>> {
    let [first, second] = &encoder.convolutions;
    let heard = convolve(team, first, spectrogram, shape.mels, 1, FRAMES);
    let mut heard = convolve(team, second, &heard, shape.width, FRAMES_PER_POSITION, shape.audio_context);
    for (number, position) in heard.iter_mut().zip(&encoder.positions) {
        *number += position;
    }
    let mut pass = Pass::new(team, shape);
    for block in &encoder.blocks {
        if !keep_on() {
            return None;
        }
        pass.through(block, &mut heard);
    }
    let mut normal = vec![0.0; heard.len()];
    encoder.norm.apply(team.kernels, &heard, &mut normal);
    Some(normal)
}

/// A convolution over three frames, every `step` frames, and GELU. Frames lie one after another, so three of them are
/// one row.
fn convolve(
    team: Team<'_>,
    convolution: &Linear<i16>,
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
    let each = team.rows_each(count, QUERIES);
    team.share(result.chunks_mut(each * outputs).enumerate(), |(share, result)| {
        let numbers = &padded[share * each * step * width..];
        let rows = Rows { numbers, stride: step * width, count: result.len() / outputs };
        team.kernels.multiply(rows, &convolution.weight, Place::dense(result, outputs));
        team.kernels.bias_gelu(result, &convolution.bias);
    });
    result
}

/// A window's way through the blocks.
struct Pass<'a> {
    team: Team<'a>,
    shape: Shape,
    /// Positions of a share.
    each: usize,
    /// What each share needs for itself.
    shares: Vec<Share>,
    /// Of all positions.
    keys: Vec<f32>,
    values: Vec<f32>,
    /// Keys and values of each head.
    heads: Vec<(Panels<i16>, Panels<i16>)>,
}

struct Share {
    desk: Desk,
    scores: Vec<f32>,
}

impl<'a> Pass<'a> {
    fn new(team: Team<'a>, shape: Shape) -> Self {
        let (width, count) = (shape.width, shape.audio_context);
        let size = width / shape.audio_heads;
        let each = team.rows_each(count, QUERIES);
        let share = |first: usize| Share {
            desk: Desk::new(each.min(count - first), width),
            scores: vec![0.0; QUERIES * count],
        };
        let head = |_| (Panels::zeros(count, size), Panels::zeros(size, count));
        Self {
            team,
            shape,
            each,
            shares: (0..count).step_by(each).map(share).collect(),
            keys: vec![0.0; count * width],
            values: vec![0.0; count * width],
            heads: (0..shape.audio_heads).map(head).collect(),
        }
    }

    fn through(&mut self, block: &EncoderBlock, heard: &mut [f32]) {
        let Self { team, shape, each, shares, keys, values, heads } = self;
        let (kernels, width) = (team.kernels, shape.width);
        let size = width / shape.audio_heads;
        let (attention, of_share) = (&block.attention, *each * width);

        let rows = heard.chunks(of_share).zip(keys.chunks_mut(of_share)).zip(values.chunks_mut(of_share));
        team.share(rows.zip(shares.iter_mut()), |(((heard, keys), values), Share { desk, .. })| {
            attention.norm.apply(kernels, heard, &mut desk.normal);
            let normal = Rows::dense(&desk.normal, width);
            attention.query.apply(kernels, normal, &mut desk.queries);
            kernels.multiply(normal, &attention.key, Place::dense(keys, width));
            attention.value.apply(kernels, normal, values);
        });
        team.share(heads.iter_mut().enumerate(), |(head, (head_keys, head_values))| {
            head_keys.set_rows(&keys[head * size..], width);
            head_values.set_columns(&values[head * size..], width);
        });
        team.share(heard.chunks_mut(of_share).zip(shares.iter_mut()), |(heard, share)| {
            share.attend(*team, *shape, heads);
            let desk = &mut share.desk;
            attention.out.add_to(kernels, Rows::dense(&desk.mixed, width), heard, &mut desk.normal);
            block.perceptron.add_to(kernels, heard, &mut desk.normal, &mut desk.hidden);
        });
    }
}

impl Share {
    /// Attention of the share's positions to all positions.
    fn attend(&mut self, team: Team<'_>, shape: Shape, heads: &[(Panels<i16>, Panels<i16>)]) {
        let (kernels, width, positions) = (team.kernels, shape.width, shape.audio_context);
        let size = width / shape.audio_heads;
        let scale = 1.0 / (size as f32).sqrt();
        let Self { desk, scores } = self;
        let count = desk.queries.len() / width;
        for (head, (keys, values)) in heads.iter().enumerate() {
            for first in (0..count).step_by(QUERIES) {
                let some = QUERIES.min(count - first);
                let at = first * width + head * size;
                let queries = Rows { numbers: &desk.queries[at..], stride: width, count: some };
                kernels.multiply(queries, keys, Place::dense(scores, positions));
                kernels.softmax(&mut scores[..some * positions], positions, scale);
                let shares = Rows { numbers: scores, stride: positions, count: some };
                kernels.multiply(shares, values, Place { numbers: &mut desk.mixed[at..], stride: width });
            }
        }
    }
}
