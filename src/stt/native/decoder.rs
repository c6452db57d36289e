//! What may be said next: blocks of attention to what was said, attention to what was heard, and perceptron.
//!
//! Several texts go on in one step, of one window or of several: the weights are read once for all of them.

use std::sync::Arc;

use super::encoder::PART;
use super::kernels::{Kernels, Matrix, Panels, Place, Rows};
use super::layers::Desk;
use super::team::Team;
use super::weights::{Decoder, DecoderBlock, Light, Shape, Weights};

/// What was heard in a window, packed for the decoder's attention to it.
pub(super) struct Sound {
    blocks: Vec<SoundBlock>,
}

/// For each head, keys and values.
type SoundBlock = Vec<(Light, Light)>;

impl Sound {
    /// `heard` has a row for each position of the encoder; there is room for as many keys and values.
    pub(super) fn new(
        team: Team<'_>,
        decoder: &Decoder,
        shape: Shape,
        heard: &[f32],
        [keys, values]: [&mut [f32]; 2],
    ) -> Self {
        let (width, count) = (shape.width, shape.audio_context);
        let size = width / shape.text_heads;
        let of_part = PART * width;
        let pack = |block: &DecoderBlock| {
            let rows = heard.chunks(of_part).zip(keys.chunks_mut(of_part)).zip(values.chunks_mut(of_part));
            team.share(rows, |((heard, keys), values)| {
                let rows = Rows::dense(heard, width);
                block.cross.key.multiply(team.kernels, rows, Place::dense(keys, width));
                block.cross.value.apply(team.kernels, rows, values);
            });
            let head = |_| (Panels::zeros(count, size), Panels::zeros(size, count));
            let mut heads: SoundBlock = (0..shape.text_heads).map(head).collect();
            team.share(heads.iter_mut().enumerate(), |(head, (head_keys, head_values))| {
                head_keys.set_rows(&keys[head * size..], width);
                head_values.set_columns(&values[head * size..], width);
            });
            heads
        };
        Self { blocks: decoder.blocks.iter().map(pack).collect() }
    }
}

/// What a text has said so far, for the decoder's attention to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    blocks: Vec<PastBlock>,
    /// Tokens that were taken in.
    length: usize,
}

/// A row for each token that was taken in.
#[derive(Debug, Clone, Default)]
struct PastBlock {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Past {
    pub(super) fn new(decoder: &Decoder) -> Self {
        Self { blocks: vec![PastBlock::default(); decoder.blocks.len()], length: 0 }
    }

    /// Forgets what a step of a model of this width began and did not end.
    pub(super) fn forget_what_was_begun(&mut self, width: usize) {
        for PastBlock { keys, values } in &mut self.blocks {
            keys.truncate(self.length * width);
            values.truncate(self.length * width);
        }
    }
}

/// A text that goes on.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) sound: Arc<Sound>,
    pub(super) past: Past,
    /// What it says now: one token at least.
    pub(super) tokens: Vec<usize>,
    /// Whether anybody asks where the decoder listens.
    pub(super) listening: bool,
}

/// What a text may go on with.
#[derive(Debug, Clone)]
pub(super) struct Outlook {
    /// What speaks for each token.
    pub(super) logits: Vec<f32>,
    /// Where the decoder listens for it: for each alignment head, the share of each position. Empty where nobody asks.
    pub(super) attention: Arc<[f32]>,
}

/// Takes in the tokens of each line and says what may follow them.
///
/// # Panics
/// When a line becomes longer than the model's context.
pub(super) fn step(team: Team<'_>, weights: &Weights, lines: &mut [Line]) -> Vec<Outlook> {
    let Weights { shape, decoder, alignment, .. } = weights;
    let (kernels, width) = (team.kernels, shape.width);
    let count: usize = lines.iter().map(|line| line.tokens.len()).sum();
    let mut said = Vec::with_capacity(count * width);
    for line in &*lines {
        for (token, position) in line.tokens.iter().zip(decoder.positions.chunks_exact(width).skip(line.past.length)) {
            said.extend(decoder.token(*token).zip(position).map(|(number, position)| number + position));
        }
    }
    assert_eq!(said.len(), count * width, "a text is longer than the model's context");
    let mut attention = vec![Vec::new(); lines.len()];
    let mut pass = Pass { kernels, shape: *shape, desk: Desk::new(count, shape.width), scores: Vec::new() };
    for (index, block) in decoder.blocks.iter().enumerate() {
        pass.look_back(block, index, lines, &mut said);
        let is_wanted = |head: usize| alignment.contains(&(index, head));
        pass.listen(block, index, lines, &mut said, |line, head, shares| {
            if is_wanted(head) {
                attention[line].extend_from_slice(shares);
            }
        });
        block.perceptron.add_to(kernels, &mut said, &mut pass.desk.normal, &mut pass.desk.hidden);
    }

    let mut last = Vec::with_capacity(lines.len() * width);
    let mut end = 0;
    for line in &*lines {
        end += line.tokens.len();
        last.extend_from_slice(&said[(end - 1) * width..end * width]);
    }
    let mut normal = vec![0.0; last.len()];
    decoder.norm.apply(kernels, &last, &mut normal);
    let mut logits: Vec<Vec<f32>> = vec![vec![0.0; shape.tokens]; lines.len()];
    let mut parts: Vec<Vec<f32>> = decoder.tokens.iter().map(|part| vec![0.0; lines.len() * part.outputs]).collect();
    team.share(parts.iter_mut().zip(&decoder.tokens), |(to, part)| {
        part.multiply(kernels, Rows::dense(&normal, width), Place::dense(to, part.outputs));
    });
    let mut first = 0;
    for (part, tokens) in parts.iter().zip(&decoder.tokens) {
        for (logits, part) in logits.iter_mut().zip(part.chunks_exact(tokens.outputs)) {
            logits[first..first + part.len()].copy_from_slice(part);
        }
        first += tokens.outputs;
    }
    for line in lines {
        line.past.length += line.tokens.len();
    }
    let outlook = |(logits, attention): (_, Vec<f32>)| Outlook { logits, attention: attention.into() };
    logits.into_iter().zip(attention).map(outlook).collect()
}

/// A step's way through the blocks.
struct Pass<'a> {
    kernels: &'a dyn Kernels,
    shape: Shape,
    desk: Desk,
    scores: Vec<f32>,
}

impl Pass<'_> {
    /// Attention of each new token to those before it and to itself.
    fn look_back(&mut self, block: &DecoderBlock, index: usize, lines: &mut [Line], said: &mut [f32]) {
        let (width, size) = (self.shape.width, self.shape.width / self.shape.text_heads);
        let (kernels, desk, attention) = (self.kernels, &mut self.desk, &block.attention);
        attention.norm.apply(kernels, said, &mut desk.normal);
        let normal = Rows::dense(&desk.normal, width);
        attention.query.apply(kernels, normal, &mut desk.queries);
        attention.key.multiply(kernels, normal, Place::dense(&mut desk.keys, width));
        attention.value.apply(kernels, normal, &mut desk.values);
        let mut first = 0;
        for line in lines {
            let past = &mut line.past.blocks[index];
            for row in first..first + line.tokens.len() {
                let numbers = row * width..(row + 1) * width;
                past.keys.extend_from_slice(&desk.keys[numbers.clone()]);
                past.values.extend_from_slice(&desk.values[numbers.clone()]);
                self.scores.resize(past.keys.len() / width, 0.0);
                for column in (0..width).step_by(size) {
                    let at = row * width + column..row * width + column + size;
                    let rows = (&past.keys[column..], &past.values[column..]);
                    kernels.attend(&desk.queries[at.clone()], rows, width, &mut self.scores, &mut desk.mixed[at]);
                }
            }
            first += line.tokens.len();
        }
        attention.out.add_to(kernels, Rows::dense(&desk.mixed, width), said, &mut desk.normal);
    }

    /// Attention of each new token to what was heard. `told` gets the index of each line of which it is asked, each head,
    /// and the share of each position in what the line's last token heard.
    fn listen(
        &mut self,
        block: &DecoderBlock,
        index: usize,
        lines: &[Line],
        said: &mut [f32],
        mut told: impl FnMut(usize, usize, &[f32]),
    ) {
        let (width, positions) = (self.shape.width, self.shape.audio_context);
        let size = width / self.shape.text_heads;
        let scale = 1.0 / (size as f32).sqrt();
        let (kernels, desk, cross) = (self.kernels, &mut self.desk, &block.cross);
        cross.norm.apply(kernels, said, &mut desk.normal);
        cross.query.apply(kernels, Rows::dense(&desk.normal, width), &mut desk.queries);
        let mut first = 0;
        for (number, line) in lines.iter().enumerate() {
            let count = line.tokens.len();
            self.scores.resize(count * positions, 0.0);
            for (head, (keys, values)) in line.sound.blocks[index].iter().enumerate() {
                let at = first * width + head * size;
                let queries = Rows { numbers: &desk.queries[at..], stride: width, count };
                keys.multiply(kernels, queries, Place::dense(&mut self.scores, positions));
                kernels.softmax(&mut self.scores, positions, scale);
                if line.listening {
                    told(number, head, &self.scores[(count - 1) * positions..]);
                }
                let place = Place { numbers: &mut desk.mixed[at..], stride: width };
                values.multiply(kernels, Rows::dense(&self.scores, positions), place);
            }
            first += count;
        }
        cross.out.add_to(kernels, Rows::dense(&desk.mixed, width), said, &mut desk.normal);
    }
}
