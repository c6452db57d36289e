//! The only calls into ggml's C library from this folder: quantising rows and back, and loading a file to see that
//! whisper.cpp takes it.

use std::path::Path;

use whisper_rs::{WhisperContext, WhisperContextParameters, WhisperError};
use whisper_rs_sys::{ggml_get_type_traits, ggml_quantize_chunk, ggml_type};

use super::layout::{TensorSpec, TensorType};

/// Quantises whole rows, each of `row` weights; `row` is a multiple of 32.
pub(super) fn quantize(weights: &[f32], row: usize, to: TensorType) -> Vec<u8> {
    let rows = weights.len() / row;
    let mut blocks = vec![0_u8; bytes_of(rows, row, to)];
    let (Ok(rows), Ok(row)) = (i64::try_from(rows), i64::try_from(row)) else { return Vec::new() };
    #[expect(
        unsafe_code,
        reason = "a C function; it reads rows × row floats from `weights` and writes the size computed above to `blocks`"
    )]
    // SAFETY: `weights` holds at least rows × row floats; `blocks` has exactly the bytes of that many blocks of 32; the
    // formats used here need no importance matrix, so null is allowed.
    let written = unsafe {
        ggml_quantize_chunk(
            ggml_type_of(to),
            weights.as_ptr(),
            blocks.as_mut_ptr().cast(),
            0,
            rows,
            row,
            std::ptr::null(),
        )
    };
    debug_assert_eq!(written, blocks.len());
    blocks
}

/// What the engine reads out of quantised rows: `count` weights, `None` when ggml has no way back or bytes are missing.
pub(super) fn dequantize(blocks: &[u8], count: usize, from: TensorType) -> Option<Vec<f32>> {
    if blocks.len() < bytes_of(1, count, from) {
        return None;
    }
    let mut weights = vec![0_f32; count];
    let length = i64::try_from(count).ok()?;
    #[expect(unsafe_code, reason = "a C function; it reads `count` weights' blocks and writes `count` floats")]
    // SAFETY: the traits are a static table; `blocks` was checked to hold the blocks of `count` weights, and `weights`
    // has room for them.
    unsafe {
        let to_float = ggml_get_type_traits(ggml_type_of(from)).as_ref()?.to_float?;
        to_float(blocks.as_ptr().cast(), weights.as_mut_ptr(), length);
    }
    Some(weights)
}

/// Loads the file the way the engine does.
pub(super) fn load(path: &Path) -> Result<(), WhisperError> {
    // Without this the library writes to stderr.
    whisper_rs::install_logging_hooks();
    WhisperContext::new_with_params(path, WhisperContextParameters::default()).map(drop)
}

fn ggml_type_of(kind: TensorType) -> ggml_type {
    kind.id()
}

fn bytes_of(rows: usize, row: usize, kind: TensorType) -> usize {
    let dimension = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let spec = TensorSpec::matrix(dimension(rows), dimension(row));
    kind.bytes(&spec).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0)
}
