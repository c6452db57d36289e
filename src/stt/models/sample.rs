//! A model file for tests and for the fuzzer.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::ggml::{write_header, write_label, write_mel_bank, write_vocabulary};
use super::layout::{Header, TensorType};

/// The smallest model that has every kind of tensor. Its weights are small random halves.
pub fn small_model(width: u32, seed: u64) -> Vec<u8> {
    const GOOD: &str = "a vector takes everything";
    let header = small_header(width);
    let mut random = StdRng::seed_from_u64(seed);
    let mut file = Vec::new();
    write_header(&header, &mut file).expect(GOOD);
    write_mel_bank(&header, &mut file).expect(GOOD);
    let tokens: Vec<Vec<u8>> = (0..50_257_u32).map(|token| token.to_string().into_bytes()).collect();
    write_vocabulary(&tokens, &mut file).expect(GOOD);
    for spec in header.tensors() {
        let kind = spec.role.stored_as(TensorType::F16);
        write_label(&spec, kind, &mut file).expect(GOOD);
        for _ in 0..spec.elements() {
            // Exponents 10–14 are magnitudes from 1/32 to 1.
            let half: u16 = random.random_range(10..15_u16) << 10 | random.random_range(0..0x400);
            match kind {
                TensorType::F32 => file.extend(super::half::f16_to_f32(half).to_le_bytes()),
                _ => file.extend((half | (random.random::<u16>() & 0x8000)).to_le_bytes()),
            }
        }
    }
    file
}

/// Its header.
pub(super) fn small_header(width: u32) -> Header {
    Header::from_fields([51_864, 4, width, 1, 1, 24, width, 1, 1, 80, 1]).expect("the shape of a model")
}
