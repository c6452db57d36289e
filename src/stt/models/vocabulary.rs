//! The tokens of a CTranslate2 model as the bytes that ggml stores.
//!
//! A byte-pair token is written with one printable character per byte (GPT-2's table): bytes that are printable in
//! Latin-1 stand for themselves, the others for the characters from U+0100 on.

use super::error::FormatError;

/// How many tokens every Whisper vocabulary has before its special ones.
const BYTE_PAIR_TOKENS: usize = 50_257;

/// The lines of a `vocabulary.txt`.
pub(super) fn from_text(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// The array of a `vocabulary.json`.
pub(super) fn from_json(json: &[u8]) -> Result<Vec<String>, FormatError> {
    serde_json::from_slice(json).map_err(|_not_a_list| FormatError::WrongFormat { format: "vocabulary.json" })
}

/// The byte-pair tokens, in the order of their ids. Special tokens follow from the model's numbers and are left out.
pub(super) fn byte_pair_tokens(tokens: &[String]) -> Result<Vec<Vec<u8>>, FormatError> {
    let tokens = tokens.get(..BYTE_PAIR_TOKENS).ok_or(FormatError::ShortVocabulary { count: tokens.len() })?;
    let mut decoded = Vec::with_capacity(tokens.len());
    for (index, token) in tokens.iter().enumerate() {
        let bytes: Option<Vec<u8>> = token.chars().map(byte_of).collect();
        decoded.push(bytes.ok_or(FormatError::BadToken { index })?);
    }
    Ok(decoded)
}

/// Bytes that the table writes as themselves.
fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

fn byte_of(character: char) -> Option<u8> {
    if let Ok(byte) = u8::try_from(character) {
        return is_printable(byte).then_some(byte);
    }
    let index = usize::try_from(u32::from(character).checked_sub(0x100)?).ok()?;
    (0..=u8::MAX).filter(|&byte| !is_printable(byte)).nth(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_byte_has_exactly_one_character() {
        let bytes: BTreeSet<u8> = (0..0x200_u32).filter_map(char::from_u32).filter_map(byte_of).collect();
        assert_eq!(bytes.len(), 256);
        assert_eq!(byte_of('Ġ'), Some(b' '));
        assert_eq!(byte_of('Ċ'), Some(b'\n'));
        assert_eq!(byte_of('é'), Some(0xe9));
        assert_eq!(byte_of('\u{144}'), None);
        assert_eq!(byte_of(' '), None);
        assert_eq!(byte_of('語'), None);
    }

    #[test]
    fn special_tokens_are_left_out_and_a_short_list_is_refused() {
        let mut tokens = vec!["Ġa".to_owned(); BYTE_PAIR_TOKENS];
        tokens.push("<|startoftranscript|>".to_owned());
        let decoded = byte_pair_tokens(&tokens).unwrap();
        assert_eq!(decoded.len(), BYTE_PAIR_TOKENS);
        assert_eq!(decoded[9], b" a");
        assert!(matches!(byte_pair_tokens(&tokens[..5]), Err(FormatError::ShortVocabulary { count: 5 })));
        tokens[7] = "語".to_owned();
        assert!(matches!(byte_pair_tokens(&tokens), Err(FormatError::BadToken { index: 7 })));
    }

    #[test]
    fn both_forms_of_the_list_are_read() {
        assert_eq!(from_text("a\n\nb\n"), ["a", "", "b"]);
        assert_eq!(from_json(br#"["a", "", "b"]"#).unwrap(), ["a", "", "b"]);
        assert!(from_json(b"{}").is_err());
    }
}
