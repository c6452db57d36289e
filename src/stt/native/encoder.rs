//! What a window sounds like: two convolutions, then blocks of attention and perceptron over 1,500 positions.
//!
//! Threads take some positions after others; only the keys and values of a block are of all of them.

use std::sync::{Mutex, PoisonError};

use super::kernels::{Dense, Kernels, Matrix, Panels, Place, Rows};
use super::layers::{Desk, Linear};
use super::spectrogram::{FRAMES, FRAMES_PER_POSITION};
use super::team::Team;
use super::weights::{Encoder, EncoderBlock, FRAMES_OF_CONVOLUTION, Shape};

/// Positions whose attention is computed at a time: their scores stay in the second-level cache, and the scores of all
/// positions with all others are never there at once.
const QUERIES: usize = 48;
/// Positions that one thread takes at a time: what is between the layers stays in the second-level cache.
pub(super) const PART: usize = 2 * QUERIES;

/// Room for everything between a spectrogram and what was heard, kept from one window to the next.
#[derive(Default)]
pub(super) struct Workspace {
    padded: Vec<f32>,
    convolved: Vec<f32>,
    /// A row of `width` numbers for each position.
    heard: Vec<f32>,
    normal: Vec<f32>,
    /// Of all positions.
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
    /// Keys and values of each head.
    heads: Vec<PackedHead>,
    desks: Desks,
}

/// Keys and values of one.
type PackedHead = (Dense, Dense);

impl Workspace {
    /// Makes room on the first call; later ones are to be with the same model.
    fn make_room(&mut self, kernels: &dyn Kernels, shape: Shape) {
        let (width, count) = (shape.width, shape.audio_context);
        if self.heard.len() == count * width {
            return;
        }
        let size = width / shape.audio_heads;
        let head = |_| (Dense::zeros(kernels, count, size), Dense::zeros(kernels, size, count));
        for whole in [&mut self.heard, &mut self.normal, &mut self.keys, &mut self.values] {
            whole.resize(count * width, 0.0);
        }
        self.convolved.resize(FRAMES * width, 0.0);
        self.heads = (0..shape.audio_heads).map(head).collect();
    }
}

/// A row of `width` numbers for each position, of a spectrogram of [`FRAMES`] rows, with room for keys and values of all
/// positions. `None` as soon as `keep_on`, which is asked before each block, says no.
pub(super) fn encode<'a>(
    team: Team<'_>,
    encoder: &Encoder,
    shape: Shape,
    spectrogram: &[f32],
    workspace: &'a mut Workspace,
    keep_on: &dyn Fn() -> bool,
) -> Option<(&'a [f32], [&'a mut [f32]; 2])> {
    workspace.make_room(team.kernels, shape);
    let [first, second] = &encoder.convolutions;
    let Workspace { padded, convolved, heard, .. } = workspace;
    convolve(team, first, spectrogram, padded, 1, convolved);
    convolve(team, second, convolved, padded, FRAMES_PER_POSITION, heard);
    for (number, position) in workspace.heard.iter_mut().zip(&encoder.positions) {
        *number += position;
    }
    for block in &encoder.blocks {
        if !keep_on() {
            return None;
        }
        through(team, shape, block, workspace);
    }
    let Workspace { heard, normal, keys, values, .. } = workspace;
    encoder.norm.apply(team.kernels, heard, normal);
    Some((normal, [keys, values]))
}

/// A convolution over three frames, every `step` frames, and GELU. Frames lie one after another, so three of them are
/// one row.
fn convolve(
    team: Team<'_>,
    convolution: &Linear<Panels<i16>>,
    frames: &[f32],
    padded: &mut Vec<f32>,
    step: usize,
    result: &mut [f32],
) {
    let (outputs, width) = (convolution.weight.outputs, convolution.weight.inputs / FRAMES_OF_CONVOLUTION);
    padded.clear();
    padded.resize(width, 0.0);
    padded.extend_from_slice(frames);
    padded.resize(padded.len() + width, 0.0);
    team.share(result.chunks_mut(PART * outputs).enumerate(), |(part, result)| {
        let numbers = &padded[part * PART * step * width..];
        let rows = Rows { numbers, stride: step * width, count: result.len() / outputs };
        team.kernels.multiply(rows, &convolution.weight, Place::dense(result, outputs));
        team.kernels.bias_gelu(result, &convolution.bias);
    });
}

/// A window's way through one block.
fn through(team: Team<'_>, shape: Shape, block: &EncoderBlock, workspace: &mut Workspace) {
    let Workspace { heard, keys, values, heads, desks, .. } = workspace;
    let (kernels, width) = (team.kernels, shape.width);
    let (attention, size, of_part) = (&block.attention, width / shape.audio_heads, PART * width);

    let rows = heard.chunks(of_part).zip(keys.chunks_mut(of_part)).zip(values.chunks_mut(of_part));
    team.share(rows, |((heard, keys), values)| {
        desks.lend(shape, heard.len() / width, |PartDesk { desk, .. }| {
            attention.norm.apply(kernels, heard, &mut desk.normal);
            let normal = Rows::dense(&desk.normal, width);
            attention.key.multiply(kernels, normal, Place::dense(keys, width));
            attention.value.apply(kernels, normal, values);
        });
    });
    team.share(heads.iter_mut().enumerate(), |(head, (head_keys, head_values))| {
        head_keys.set_rows(&keys[head * size..], width);
        head_values.set_columns(&values[head * size..], width);
    });
    team.share(heard.chunks_mut(of_part), |heard| {
        desks.lend(shape, heard.len() / width, |part| {
            attention.norm.apply(kernels, heard, &mut part.desk.normal);
            let normal = Rows::dense(&part.desk.normal, width);
            attention.query.apply(kernels, normal, &mut part.desk.queries);
            part.attend(kernels, shape, heads);
            let desk = &mut part.desk;
            attention.out.add_to(kernels, Rows::dense(&desk.mixed, width), heard, &mut desk.normal);
            block.perceptron.add_to(kernels, heard, &mut desk.normal, &mut desk.hidden);
        });
    });
}

/// Desks of parts, as many as were in use at the same time.
#[derive(Default)]
struct Desks(Mutex<Vec<PartDesk>>);

impl Desks {
    /// Lends one for so many positions.
    fn lend(&self, shape: Shape, rows: usize, work: impl FnOnce(&mut PartDesk)) {
        let free = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = if rows == PART { free().pop() } else { None };
        let mut desk = known.unwrap_or_else(|| PartDesk {
            desk: Desk::new(rows, shape.width),
            scores: vec![0.0; QUERIES * shape.audio_context],
        });
        work(&mut desk);
        if rows == PART {
            free().push(desk);
        }
    }
}

/// What a part of the positions needs for itself.
struct PartDesk {
    desk: Desk,
    scores: Vec<f32>,
}

impl PartDesk {
    /// Attention of the part's positions to all positions.
    fn attend(&mut self, kernels: &dyn Kernels, shape: Shape, heads: &[PackedHead]) {
        let (width, positions) = (shape.width, shape.audio_context);
        let size = width / shape.audio_heads;
        let scale = 1.0 / (size as f32).sqrt();
        let Self { desk, scores } = self;
        let count = desk.queries.len() / width;
        for (head, (keys, values)) in heads.iter().enumerate() {
            for first in (0..count).step_by(QUERIES) {
                let some = QUERIES.min(count - first);
                let at = first * width + head * size;
                let queries = Rows { numbers: &desk.queries[at..], stride: width, count: some };
                keys.multiply(kernels, queries, Place::dense(scores, positions));
                let scores = Rows { numbers: scores, stride: positions, count: some };
                let place = Place { numbers: &mut desk.mixed[at..], stride: width };
                values.multiply_softmax(kernels, scores, scale, place);
            }
        }
    }
}
