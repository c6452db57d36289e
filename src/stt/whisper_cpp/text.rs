//! Reads the tokens of a decoded window out of whisper.cpp's state.

use whisper_rs::WhisperState;

use crate::stt::tokens::{RawSegment, SaidToken};

/// The result of the last run of `state`, on sound that had `lead_cs` of silence before the window. Tokens from
/// `first_special` on are no text.
pub(super) fn segments(state: &WhisperState, first_special: i32, lead_cs: i64) -> Vec<RawSegment> {
    let segment = |segment: whisper_rs::WhisperSegment<'_>| RawSegment {
        start_cs: segment.start_timestamp() - lead_cs,
        end_cs: segment.end_timestamp() - lead_cs,
        tokens: (0..segment.n_tokens())
            .filter_map(|index| segment.get_token(index))
            .filter(|token| token.token_id() < first_special)
            .filter_map(|token| {
                let data = token.token_data();
                Some(SaidToken {
                    bytes: token.to_bytes().ok()?.to_vec(),
                    logprob: f64::from(data.plog),
                    probability: f64::from(data.p).clamp(0.0, 1.0),
                    start_cs: data.t0 - lead_cs,
                    end_cs: data.t1 - lead_cs,
                })
            })
            .collect(),
    };
    state.as_iter().map(segment).collect()
}
