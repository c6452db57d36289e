//! Weights in the order in which the kernels read them.

/// Outputs side by side: two AVX2 vectors, one of AVX-512.
pub(in crate::stt::native) const PANEL: usize = 16;

/// A matrix of weights, `outputs` × `inputs`. It lies in panels of [`PANEL`] outputs; in a panel the weights of one input
/// stand side by side. The last panel is filled up with zeros.
#[derive(Debug, Clone)]
pub(in crate::stt::native) struct FloatPanels {
    pub(in crate::stt::native) outputs: usize,
    pub(in crate::stt::native) inputs: usize,
    pub(super) weights: Vec<f32>,
}

impl FloatPanels {
    pub(in crate::stt::native) fn zeros(outputs: usize, inputs: usize) -> Self {
        Self { outputs, inputs, weights: vec![0.0; outputs.div_ceil(PANEL) * PANEL * inputs] }
    }

    /// From a row of `inputs` weights for each output.
    pub(in crate::stt::native) fn of(rows: &[f32], inputs: usize) -> Self {
        let mut panels = Self::zeros(rows.len() / inputs, inputs);
        panels.set_rows(rows, inputs);
        panels
    }

    /// Takes a row for each output; rows begin `stride` after one another.
    pub(in crate::stt::native) fn set_rows(&mut self, rows: &[f32], stride: usize) {
        for output in 0..self.outputs {
            let row = &rows[output * stride..][..self.inputs];
            let panel = &mut self.weights[output / PANEL * PANEL * self.inputs..][..PANEL * self.inputs];
            for (place, weight) in panel.iter_mut().skip(output % PANEL).step_by(PANEL).zip(row) {
                *place = *weight;
            }
        }
    }

    /// Takes a row for each input; rows begin `stride` after one another.
    pub(in crate::stt::native) fn set_columns(&mut self, rows: &[f32], stride: usize) {
        for input in 0..self.inputs {
            let row = &rows[input * stride..][..self.outputs];
            for (panel, weights) in row.chunks(PANEL).enumerate() {
                let at = (panel * self.inputs + input) * PANEL;
                self.weights[at..at + weights.len()].copy_from_slice(weights);
            }
        }
    }

    /// The weights of one panel, and how many outputs it has.
    pub(super) fn panel(&self, index: usize) -> (&[f32], usize) {
        let length = PANEL * self.inputs;
        (&self.weights[index * length..][..length], PANEL.min(self.outputs - index * PANEL))
    }
}

/// As [`FloatPanels`], each weight as a byte times the scale of its output.
#[derive(Debug, Clone)]
pub(in crate::stt::native) struct BytePanels {
    pub(in crate::stt::native) outputs: usize,
    pub(in crate::stt::native) inputs: usize,
    weights: Vec<i8>,
    /// One for each output, in whole panels.
    scales: Vec<f32>,
}

/// The weights of one panel in bytes.
pub(super) struct BytePanel<'a> {
    pub(super) weights: &'a [i8],
    pub(super) scales: &'a [f32],
    pub(super) outputs: usize,
}

impl BytePanels {
    /// From a row of `inputs` weights for each output. The largest of a row becomes 127 or −127.
    pub(in crate::stt::native) fn of(rows: &[f32], inputs: usize) -> Self {
        let outputs = rows.len() / inputs;
        let mut weights = vec![0; outputs.div_ceil(PANEL) * PANEL * inputs];
        let mut scales = vec![0.0; outputs.div_ceil(PANEL) * PANEL];
        for (output, row) in rows.chunks_exact(inputs).enumerate() {
            let scale = row.iter().fold(0.0_f32, |top, weight| top.max(weight.abs())) / 127.0;
            scales[output] = scale;
            let share = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            let panel = &mut weights[output / PANEL * PANEL * inputs..];
            for (place, weight) in panel.iter_mut().skip(output % PANEL).step_by(PANEL).zip(row) {
                *place = byte(weight * share);
            }
        }
        Self { outputs, inputs, weights, scales }
    }

    /// The weights of one output, as they count.
    pub(in crate::stt::native) fn row(&self, output: usize) -> impl Iterator<Item = f32> + '_ {
        let first = output / PANEL * PANEL * self.inputs + output % PANEL;
        let scale = self.scales[output];
        self.weights[first..].iter().step_by(PANEL).take(self.inputs).map(move |weight| f32::from(*weight) * scale)
    }

    pub(super) fn panel(&self, index: usize) -> BytePanel<'_> {
        let length = PANEL * self.inputs;
        BytePanel {
            weights: &self.weights[index * length..][..length],
            scales: &self.scales[index * PANEL..][..PANEL],
            outputs: PANEL.min(self.outputs - index * PANEL),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a rounded number between -127 and 127")]
fn byte(number: f32) -> i8 {
    number.round() as i8
}
