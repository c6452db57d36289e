//! Keyed hashes of telephone numbers: equal for equal numbers, however they are written, and of no use without the key.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::phone::{Region, forms};

/// The fewest bytes of a key: as many as the hash has.
pub const SHORTEST_KEY: usize = 32;

/// Hashes numbers with HMAC-SHA256 over their E.164 form.
#[derive(Clone)]
pub struct NumberHasher {
    key: Arc<[u8]>,
    region: Region,
}

impl fmt::Debug for NumberHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NumberHasher(…)")
    }
}

impl NumberHasher {
    /// With the bytes of a key file, white space at its ends left out; `None` when they are fewer than
    /// [`SHORTEST_KEY`].
    #[must_use]
    pub fn new(key: &[u8], region: Region) -> Option<Self> {
        let key = key.trim_ascii();
        (key.len() >= SHORTEST_KEY).then(|| Self { key: key.into(), region })
    }

    /// 64 hex digits; `None` for what is no full number, such as an extension.
    #[must_use]
    pub fn hash(&self, number: &str) -> Option<String> {
        let e164 = forms(number, self.region).e164?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(e164.as_bytes());
        Some(hex::encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(key: &[u8]) -> NumberHasher {
        NumberHasher::new(key, Region::from_code("JP").unwrap()).unwrap()
    }

    #[test]
    fn one_number_has_one_hash_however_it_is_written_and_another_with_another_key() {
        let (one, other) = (hasher(&[b'a'; 32]), hasher(&[b'b'; 32]));
        let hash = one.hash("+81 3-5550-0123").unwrap();
        assert_eq!(hash.len(), 64);
        for written in ["0355500123", "03-5550-0123", "０３（５５５０）０１２３", "+810355500123"] {
            assert_eq!(one.hash(written).as_ref(), Some(&hash), "{written}");
        }
        assert_ne!(one.hash("03-5550-0124").unwrap(), hash);
        assert_ne!(other.hash("0355500123").unwrap(), hash);
        assert_eq!(one.hash("803"), None);
        assert_eq!(one.hash(""), None);
    }

    #[test]
    fn the_hash_is_hmac_sha256_of_the_e164_form() {
        // echo -n +81355500123 | openssl dgst -sha256 -hmac aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        let hash = hasher(format!("{}\n", "a".repeat(32)).as_bytes()).hash("03-5550-0123").unwrap();
        assert_eq!(hash, "d36a6f06255d3e60ef6f1c49534b1e639c9c5f7183b5ff922bba656948d01602");
    }

    #[test]
    fn a_short_key_is_none_and_no_key_is_shown() {
        assert!(NumberHasher::new(&[b'a'; 31], Region::from_code("JP").unwrap()).is_none());
        assert!(
            NumberHasher::new(format!("{}\n", "a".repeat(31)).as_bytes(), Region::from_code("JP").unwrap()).is_none()
        );
        assert_eq!(format!("{:?}", hasher(&[b'a'; 32])), "NumberHasher(…)");
    }
}
