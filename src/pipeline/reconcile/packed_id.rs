//! Ids of recordings in little memory.

use std::fmt;

use crate::domain::RecordingId;

/// The id of a recording. Zoom's are 32 hex digits, which are 16 bytes: a third of the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum PackedId {
    Hex([u8; 16]),
    Other(Box<str>),
}

impl PackedId {
    pub(super) fn of(id: &RecordingId) -> Self {
        let mut bytes = [0; 16];
        match hex::decode_to_slice(id.as_str(), &mut bytes) {
            Ok(()) => Self::Hex(bytes),
            Err(_other_form) => Self::Other(id.as_str().into()),
        }
    }
}

impl fmt::Display for PackedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hex(bytes) => f.write_str(&hex::encode(bytes)),
            Self::Other(id) => f.write_str(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_any_form_is_read_back_as_it_was() {
        for raw in ["0F3A5C7E-9B1D-4F6A-8C0E-2D4B6F8A1C3E", "file-00112233445566778899aabbccddeeff", "aa01", "録音"] {
            let id = RecordingId::parse(raw).unwrap();
            assert_eq!(PackedId::of(&id).to_string(), id.as_str());
        }
        assert!(size_of::<PackedId>() <= 24);
    }
}
