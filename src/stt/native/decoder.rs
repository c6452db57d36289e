//! What may be said next: blocks of attention to what was said, attention to what was heard, and perceptron.

use super::kernels::{FloatPanels, Kernels, Place, Rows};
use super::weights::{Decoder, DecoderBlock, Shape};

/// What the decoder looks back on in one window.
pub(super) struct Memory {
    blocks: Vec<BlockMemory>,
    /// Tokens that were taken in.
    length: usize,
}

struct BlockMemory {
    /// For each head, the keys and values of what was heard.
    heard: Vec<(FloatPanels, FloatPanels)>,
    /// A row for each token that was taken in.
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Memory {
    /// Nothing was said; `heard` has a row for each position of the encoder.
    pub(super) fn new(kernels: &dyn Kernels, decoder: &Decoder, shape: Shape, heard: &[f32]) -> Self {
        let (width, count) = (shape.width, shape.audio_context);
        let size = width / shape.text_heads;
        let rows = Rows::dense(heard, width);
        let mut keys = vec![0.0; count * width];
        let mut values = keys.clone();
        let memory = |block: &DecoderBlock| {
            kernels.multiply(rows, &block.cross.key, Place::dense(&mut keys, width));
            block.cross.value.apply(kernels, rows, &mut values);
            let head = |head: usize| {
                let mut pair = (FloatPanels::zeros(count, size), FloatPanels::zeros(size, count));
                pair.0.set_rows(&keys[head * size..], width);
                pair.1.set_columns(&values[head * size..], width);
                pair
            };
            BlockMemory { heard: (0..shape.text_heads).map(head).collect(), keys: Vec::new(), values: Vec::new() }
        };
        Self { blocks: decoder.blocks.iter().map(memory).collect(), length: 0 }
    }

    pub(super) const fn length(&self) -> usize {
        self.length
    }
}

/// Takes in `tokens`, one at least, and returns the logit of each token that may follow the last of them.
///
/// # Panics
/// When more tokens are taken in than the model has positions for.
pub(super) fn step(
    kernels: &dyn Kernels,
    decoder: &Decoder,
    shape: Shape,
    memory: &mut Memory,
    tokens: &[usize],
) -> Vec<f32> {
    let width = shape.width;
    let mut said = Vec::with_capacity(tokens.len() * width);
    for (token, position) in tokens.iter().zip(decoder.positions.chunks_exact(width).skip(memory.length)) {
        said.extend(decoder.tokens.row(*token).zip(position).map(|(number, position)| number + position));
    }
    assert_eq!(said.len(), tokens.len() * width, "the text is longer than the model's context");
    let mut desk = Desk::new(shape, tokens.len());
    for (block, past) in decoder.blocks.iter().zip(&mut memory.blocks) {
        desk.pass(kernels, block, shape, past, &mut said);
    }
    memory.length += tokens.len();
    let last = &said[said.len() - width..];
    let mut normal = vec![0.0; width];
    decoder.norm.apply(kernels, last, &mut normal);
    let mut logits = vec![0.0; shape.tokens];
    kernels.multiply_bytes(Rows::dense(&normal, width), &decoder.tokens, Place::dense(&mut logits, shape.tokens));
    logits
}

/// What a block needs beside its input.
struct Desk {
    normal: Vec<f32>,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    mixed: Vec<f32>,
    hidden: Vec<f32>,
    scores: Vec<f32>,
}

impl Desk {
    fn new(shape: Shape, count: usize) -> Self {
        let whole = || vec![0.0; count * shape.width];
        Self {
            normal: whole(),
            queries: whole(),
            keys: whole(),
            values: whole(),
            mixed: whole(),
            hidden: vec![0.0; count * shape.width * 4],
            scores: vec![0.0; count * shape.audio_context.max(shape.text_context)],
        }
    }

    fn pass(
        &mut self,
        kernels: &dyn Kernels,
        block: &DecoderBlock,
        shape: Shape,
        past: &mut BlockMemory,
        said: &mut [f32],
    ) {
        let width = shape.width;
        let attention = &block.attention;
        attention.norm.apply(kernels, said, &mut self.normal);
        let normal = Rows::dense(&self.normal, width);
        attention.query.apply(kernels, normal, &mut self.queries);
        kernels.multiply_bytes(normal, &attention.key, Place::dense(&mut self.keys, width));
        attention.value.apply(kernels, normal, &mut self.values);
        past.keys.extend_from_slice(&self.keys);
        past.values.extend_from_slice(&self.values);
        self.look_back(kernels, shape, past);
        attention.out.add_to(kernels, Rows::dense(&self.mixed, width), said, &mut self.normal);

        let cross = &block.cross;
        cross.norm.apply(kernels, said, &mut self.normal);
        cross.query.apply(kernels, Rows::dense(&self.normal, width), &mut self.queries);
        self.listen(kernels, shape, past);
        cross.out.add_to(kernels, Rows::dense(&self.mixed, width), said, &mut self.normal);
        block.perceptron.add_to(kernels, said, &mut self.normal, &mut self.hidden);
    }

    /// Attention of each new token to those before it and to itself.
    fn look_back(&mut self, kernels: &dyn Kernels, shape: Shape, past: &BlockMemory) {
        let width = shape.width;
        let size = width / shape.text_heads;
        let scale = 1.0 / (size as f32).sqrt();
        let count = self.queries.len() / width;
        let known = past.keys.len() / width - count;
        for row in 0..count {
            let scores = &mut self.scores[..known + row + 1];
            for column in (0..width).step_by(size) {
                let query = &self.queries[row * width + column..][..size];
                for (score, key) in scores.iter_mut().zip(past.keys.chunks_exact(width)) {
                    *score = query.iter().zip(&key[column..]).map(|(one, other)| one * other).sum();
                }
                let length = scores.len();
                kernels.softmax(scores, length, scale);
                let mixed = &mut self.mixed[row * width + column..][..size];
                mixed.fill(0.0);
                for (score, value) in scores.iter().zip(past.values.chunks_exact(width)) {
                    mixed.iter_mut().zip(&value[column..]).for_each(|(to, number)| *to += score * number);
                }
            }
        }
    }

    /// Attention of each new token to what was heard.
    fn listen(&mut self, kernels: &dyn Kernels, shape: Shape, past: &BlockMemory) {
        let width = shape.width;
        let size = width / shape.text_heads;
        let scale = 1.0 / (size as f32).sqrt();
        let (count, positions) = (self.queries.len() / width, shape.audio_context);
        for (head, (keys, values)) in past.heard.iter().enumerate() {
            let queries = Rows { numbers: &self.queries[head * size..], stride: width, count };
            kernels.multiply(queries, keys, Place::dense(&mut self.scores, positions));
            kernels.softmax(&mut self.scores[..count * positions], positions, scale);
            let scores = Rows { numbers: &self.scores, stride: positions, count };
            let place = Place { numbers: &mut self.mixed[head * size..], stride: width };
            kernels.multiply(scores, values, place);
        }
    }
}
