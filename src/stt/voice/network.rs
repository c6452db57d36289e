//! Silero's voice network in plain Rust.
//!
//! The weights are `silero_vad_16k.safetensors` as it is in the Python package `silero-vad` 6.2.3 (MIT licence, see
//! `LICENCE-silero-vad` beside it), built into the program. The network hears [`STEP_SAMPLES`] at a time and remembers
//! what came before: spectrum of four overlapping stretches, four convolutions, one LSTM, one number.
//!
//! Sums are always taken in the same order, so the same samples give the same numbers, bit for bit.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// Samples of one step: 32 ms at 16 kHz.
pub(super) const STEP_SAMPLES: usize = 512;

/// Samples of the step before that the network hears again.
const CONTEXT: usize = 64;
/// Samples mirrored at the end of a step.
const MIRRORED: usize = 64;
const STRETCH: usize = 256;
const STRIDE: usize = 128;
const STRETCHES: usize = 4;
const BINS: usize = STRETCH / 2 + 1;
/// Numbers that the network remembers, twice.
const MEMORY: usize = 128;
/// Outputs that are summed at a time.
const LANES: usize = 32;

static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    Network::read(include_bytes!("silero_vad_16k.safetensors")).expect("the weights are part of the program")
});

/// The network's ear on one stream of samples.
pub(super) struct Listener {
    /// Context, step and mirrored end.
    heard: [f32; CONTEXT + STEP_SAMPLES + MIRRORED],
    hidden: [f32; MEMORY],
    cell: [f32; MEMORY],
}

impl Default for Listener {
    fn default() -> Self {
        Self { heard: [0.0; CONTEXT + STEP_SAMPLES + MIRRORED], hidden: [0.0; MEMORY], cell: [0.0; MEMORY] }
    }
}

impl Listener {
    /// The probability, in [0, 1], that somebody speaks in the next step of samples in [-1, 1].
    pub(super) fn hear(&mut self, step: &[f32; STEP_SAMPLES]) -> f32 {
        self.heard.copy_within(STEP_SAMPLES..STEP_SAMPLES + CONTEXT, 0);
        let end = CONTEXT + STEP_SAMPLES;
        self.heard[CONTEXT..end].copy_from_slice(step);
        for n in 0..MIRRORED {
            self.heard[end + n] = self.heard[end - 2 - n];
        }
        NETWORK.judge(&self.heard, &mut self.hidden, &mut self.cell)
    }
}

/// Outputs that are weighted sums of the inputs.
struct Layer {
    inputs: usize,
    outputs: usize,
    /// For each block of [`LANES`] outputs: for each input the weights of these outputs.
    weights: Vec<[f32; LANES]>,
    bias: Vec<f32>,
}

impl Layer {
    /// `weight(output, input)`.
    fn new(inputs: usize, bias: Vec<f32>, weight: impl Fn(usize, usize) -> f32) -> Self {
        let outputs = bias.len();
        let mut weights = Vec::with_capacity(outputs.div_ceil(LANES) * inputs);
        for block in (0..outputs).step_by(LANES) {
            for input in 0..inputs {
                weights.push(std::array::from_fn(|lane| {
                    if block + lane < outputs { weight(block + lane, input) } else { 0.0 }
                }));
            }
        }
        Self { inputs, outputs, weights, bias }
    }

    fn apply(&self, input: &[f32], output: &mut [f32]) {
        let blocks = self.weights.chunks_exact(self.inputs);
        for ((rows, output), bias) in blocks.zip(output.chunks_mut(LANES)).zip(self.bias.chunks(LANES)) {
            let mut sums = [0.0; LANES];
            for (&value, row) in input.iter().zip(rows) {
                for (sum, weight) in sums.iter_mut().zip(row) {
                    *sum += value * weight;
                }
            }
            for ((output, sum), bias) in output.iter_mut().zip(sums).zip(bias) {
                *output = sum + bias;
            }
        }
    }
}

/// A convolution over three neighbours in time, then everything below zero is zero.
struct Convolution {
    channels: usize,
    stride: usize,
    layer: Layer,
}

impl Convolution {
    /// `input` holds one row of channels per moment, and so does the answer.
    fn apply(&self, input: &[f32]) -> Vec<f32> {
        let edge = vec![0.0; self.channels];
        let padded = [&edge, input, &edge].concat();
        let starts = (0..input.len() / self.channels).step_by(self.stride).map(|moment| moment * self.channels);
        let mut output = vec![0.0; starts.len() * self.layer.outputs];
        for (start, row) in starts.zip(output.chunks_exact_mut(self.layer.outputs)) {
            self.layer.apply(&padded[start..start + 3 * self.channels], row);
        }
        for value in &mut output {
            *value = value.max(0.0);
        }
        output
    }
}

/// Where a tensor lies in the data of a safetensors file.
#[derive(Deserialize)]
struct Tensor {
    data_offsets: (usize, usize),
}

struct Network {
    spectrum: Layer,
    convolutions: [Convolution; 4],
    gates: Layer,
    last: Layer,
}

impl Network {
    /// `None` when these are not the weights of this network.
    fn read(file: &[u8]) -> Option<Self> {
        let (length, rest) = file.split_first_chunk::<8>()?;
        let (header, data) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let header: HashMap<String, Tensor> = serde_json::from_slice(header).ok()?;
        let tensor = |name: &str, length: usize| {
            let (start, end) = header.get(name)?.data_offsets;
            let numbers: Vec<f32> =
                data.get(start..end)?.as_chunks().0.iter().map(|n| f32::from_le_bytes(*n)).collect();
            (numbers.len() == length).then_some(numbers)
        };
        let convolution = |name: &str, channels: usize, outputs: usize, stride: usize| {
            let bias = tensor(&format!("{name}.bias"), outputs)?;
            let weights = tensor(&format!("{name}.weight"), outputs * channels * 3)?;
            // The inputs are three rows of channels one after the other; the file has the moments innermost.
            let weight =
                |output: usize, input: usize| weights[(output * channels + input % channels) * 3 + input / channels];
            Some(Convolution { channels, stride, layer: Layer::new(3 * channels, bias, weight) })
        };
        let waves = tensor("stft_conv.weight", 2 * BINS * STRETCH)?;
        let [from_input, from_hidden] =
            [tensor("lstm_cell.weight_ih", 4 * MEMORY * MEMORY)?, tensor("lstm_cell.weight_hh", 4 * MEMORY * MEMORY)?];
        let biases = [tensor("lstm_cell.bias_ih", 4 * MEMORY)?, tensor("lstm_cell.bias_hh", 4 * MEMORY)?];
        let gates_bias = biases[0].iter().zip(&biases[1]).map(|(a, b)| a + b).collect();
        let last = tensor("final_conv.weight", MEMORY)?;
        Some(Self {
            spectrum: Layer::new(STRETCH, vec![0.0; 2 * BINS], |output, input| waves[output * STRETCH + input]),
            convolutions: [
                convolution("conv1", BINS, 128, 1)?,
                convolution("conv2", 128, 64, 2)?,
                convolution("conv3", 64, 64, 2)?,
                convolution("conv4", 64, MEMORY, 1)?,
            ],
            gates: Layer::new(2 * MEMORY, gates_bias, |output, input| match input.checked_sub(MEMORY) {
                None => from_input[output * MEMORY + input],
                Some(input) => from_hidden[output * MEMORY + input],
            }),
            last: Layer::new(MEMORY, tensor("final_conv.bias", 1)?, |_, input| last[input]),
        })
    }

    fn judge(&self, heard: &[f32], hidden: &mut [f32; MEMORY], cell: &mut [f32; MEMORY]) -> f32 {
        let mut loudness = Vec::with_capacity(STRETCHES * BINS);
        let mut waves = [0.0; 2 * BINS];
        for stretch in heard.windows(STRETCH).step_by(STRIDE) {
            self.spectrum.apply(stretch, &mut waves);
            let (real, imaginary) = waves.split_at(BINS);
            loudness.extend(real.iter().zip(imaginary).map(|(a, b)| (a * a + b * b).sqrt()));
        }
        let features = self.convolutions.iter().fold(loudness, |input, convolution| convolution.apply(&input));

        let mut gates = [0.0; 4 * MEMORY];
        self.gates.apply(&[&features, &hidden[..]].concat(), &mut gates);
        for n in 0..MEMORY {
            let [input, forget, candidate, output] = std::array::from_fn(|gate| gates[gate * MEMORY + n]);
            cell[n] = sigmoid(forget) * cell[n] + sigmoid(input) * candidate.tanh();
            hidden[n] = sigmoid(output) * cell[n].tanh();
        }
        let mut answer = [0.0];
        self.last.apply(&hidden.map(|value| value.max(0.0)), &mut answer);
        sigmoid(answer[0])
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    const WEIGHTS: &[u8] = include_bytes!("silero_vad_16k.safetensors");

    #[test]
    fn the_weights_are_those_of_the_package() {
        let sha256 = hex::encode(Sha256::digest(WEIGHTS));
        assert_eq!(sha256, "c59271c284ae9c8335d795d60e0bfdb71aaaceec578d9bd9ffc1b8153c319ea1");
    }

    #[test]
    fn other_files_are_no_weights() {
        assert!(Network::read(WEIGHTS).is_some());
        assert!(Network::read(&WEIGHTS[..WEIGHTS.len() - 4]).is_none());
        assert!(Network::read(&[0xff; 64]).is_none());
        assert!(Network::read(&[]).is_none());
    }

    #[test]
    fn the_numbers_are_those_of_the_original() {
        // A buzz of 100 Hz that comes and goes; the numbers are from NumPy with the same weights.
        let sample = |n: u16| {
            let buzz = f32::from(n % 160) / 160.0 - 0.5;
            if (n / 2_000).is_multiple_of(2) { 0.4 * buzz } else { 0.02 * buzz }
        };
        let mut listener = Listener::default();
        for (step, expected) in (0u16..20).zip(EXPECTED) {
            let samples = std::array::from_fn(|n| sample(step * 512 + u16::try_from(n).expect("a step is short")));
            let heard = listener.hear(&samples);
            assert!((heard - expected).abs() < 1e-4, "{heard} instead of {expected} in step {step}");
        }
    }

    const EXPECTED: [f32; 20] = [
        0.084985, 0.071713, 0.082967, 0.084136, 0.037690, 0.031278, 0.032939, 0.018137, 0.020084, 0.013605, 0.031985,
        0.024576, 0.036373, 0.048702, 0.042478, 0.030812, 0.023481, 0.016657, 0.013926, 0.014628,
    ];
}
