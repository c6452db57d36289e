//! The signature of a webhook delivery: HMAC-SHA256 over the raw bytes, compared in constant time.
//!
//! What the headers alone decide is checked before the body is read, and the body's signature before it is parsed.

use std::time::Duration;

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

const TIMESTAMP: &str = "x-zm-request-timestamp";
const SIGNATURE: &str = "x-zm-signature";

/// Why a delivery is not taken for Zoom's. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    #[error("it has no signature")]
    Unsigned,
    #[error("its signature or timestamp is not in Zoom's form")]
    Malformed,
    #[error("its timestamp is too far from this machine's clock")]
    Stale,
    #[error("its signature is wrong")]
    Wrong,
}

impl Forged {
    /// One word, for a counter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Malformed => "malformed",
            Self::Stale => "stale",
            Self::Wrong => "wrong_signature",
        }
    }
}

/// What a delivery's headers claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// As it was sent: these bytes are signed.
    timestamp: String,
    sent_at: Timestamp,
    tag: Vec<u8>,
}

impl Claim {
    /// Reads `x-zm-request-timestamp` (Unix seconds) and `x-zm-signature` (`v0=` and hex digits).
    ///
    /// # Errors
    /// [`Forged::Unsigned`] when one is missing, [`Forged::Malformed`] when one is not in its form.
    pub fn read(headers: &HeaderMap) -> Result<Self, Forged> {
        let text = |name| headers.get(name).ok_or(Forged::Unsigned)?.to_str().map_err(|_not_text| Forged::Malformed);
        let (timestamp, signature) = (text(TIMESTAMP)?, text(SIGNATURE)?);
        let seconds = timestamp.parse().map_err(|_no_number| Forged::Malformed)?;
        let sent_at = Timestamp::from_second(seconds).map_err(|_out_of_range| Forged::Malformed)?;
        let digits = signature.strip_prefix("v0=").ok_or(Forged::Malformed)?;
        let tag = hex::decode(digits).map_err(|_no_digits| Forged::Malformed)?;
        Ok(Self { timestamp: timestamp.to_owned(), sent_at, tag })
    }
}

/// What tells Zoom's deliveries from others.
#[derive(Debug, Clone)]
pub struct Verifier {
    secret: SecretString,
    max_skew: Duration,
}

impl Verifier {
    /// `max_skew` is how far a delivery's timestamp may be from the clock, before it or after it.
    #[must_use]
    pub const fn new(secret: SecretString, max_skew: Duration) -> Self {
        Self { secret, max_skew }
    }

    /// # Errors
    /// [`Forged::Stale`] when the delivery was sent too long before `now`, or after it.
    pub fn check_time(&self, claim: &Claim, now: Timestamp) -> Result<(), Forged> {
        let skew = now.duration_since(claim.sent_at).unsigned_abs();
        if skew <= self.max_skew { Ok(()) } else { Err(Forged::Stale) }
    }

    /// # Errors
    /// [`Forged::Wrong`] when this secret did not sign these bytes at this time.
    pub fn check_body(&self, claim: &Claim, body: &[u8]) -> Result<(), Forged> {
        let mut mac = self.mac();
        mac.update(b"v0:");
        mac.update(claim.timestamp.as_bytes());
        mac.update(b":");
        mac.update(body);
        mac.verify_slice(&claim.tag).map_err(|_wrong| Forged::Wrong)
    }

    /// Whether both know the same secret.
    #[must_use]
    pub fn has_secret_of(&self, other: &Self) -> bool {
        self.secret.expose_secret() == other.secret.expose_secret()
    }

    /// What Zoom's challenge asks for: the token under this secret, in hex digits.
    #[must_use]
    pub fn encrypted_token(&self, plain_token: &str) -> String {
        let mut mac = self.mac();
        mac.update(plain_token.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.secret.expose_secret().as_bytes()).expect("HMAC takes a key of any length")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use jiff::SignedDuration;

    const CHALLENGE: &str = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qX9aExamplePlainToken01"},"event_ts":1770000000123}"#;
    const COMPLETED: &str = r#"{"event":"phone.recording_completed","event_ts":1770000100456,"payload":{"account_id":"ACCT0example","object":{"recordings":[{"id":"0f3a5c7e9b1d4f6a8c0e2d4b6f8a1c3e","caller_name":"山田 太郎"}]}}}"#;
    const OF_CHALLENGE: &str = "v0=1207da60fd5b92a7ad7d90ba3c8d85191f925dae1a8c1612cf96a9563a54899e";
    const OF_COMPLETED: &str = "v0=9a14f9605405a1a857d042bca65dbb1aa25d03c746b9947fedcf773d1e194df3";

    fn verifier(secret: &str) -> Verifier {
        Verifier::new(SecretString::from(secret), Duration::from_secs(300))
    }

    fn claim(timestamp: &str, signature: &str) -> Result<Claim, Forged> {
        let mut headers = HeaderMap::new();
        headers.insert(TIMESTAMP, HeaderValue::from_str(timestamp).unwrap());
        headers.insert(SIGNATURE, HeaderValue::from_str(signature).unwrap());
        Claim::read(&headers)
    }

    #[test]
    fn the_examples_of_the_contract_are_signed() {
        let ours = verifier("whsec-example-0001");
        for (timestamp, body, signature) in
            [("1770000000", CHALLENGE, OF_CHALLENGE), ("1770000100", COMPLETED, OF_COMPLETED)]
        {
            let claim = claim(timestamp, signature).unwrap();
            assert_eq!(ours.check_body(&claim, body.as_bytes()), Ok(()));
            assert_eq!(verifier("whsec-example-0002").check_body(&claim, body.as_bytes()), Err(Forged::Wrong));
        }
        assert_eq!(
            ours.encrypted_token("qX9aExamplePlainToken01"),
            "c08ed5015f6b3bb675ce9ce8ccf3abed3579b56b2e1d4d2d3c617c749eb0774e"
        );
    }

    #[test]
    fn every_byte_of_body_timestamp_and_signature_counts() {
        let ours = verifier("whsec-example-0001");
        let signed = claim("1770000100", OF_COMPLETED).unwrap();
        for at in 0..COMPLETED.len() {
            let mut altered = COMPLETED.as_bytes().to_vec();
            altered[at] ^= 1;
            assert_eq!(ours.check_body(&signed, &altered), Err(Forged::Wrong), "byte {at}");
        }
        let longer = format!("{COMPLETED} ");
        assert_eq!(ours.check_body(&signed, longer.as_bytes()), Err(Forged::Wrong));
        for (timestamp, signature) in [
            ("1770000101", OF_COMPLETED.to_owned()),
            ("01770000100", OF_COMPLETED.to_owned()),
            ("1770000100", OF_CHALLENGE.to_owned()),
            ("1770000100", OF_COMPLETED[..OF_COMPLETED.len() - 2].to_owned()),
            ("1770000100", format!("{OF_COMPLETED}00")),
            ("1770000100", "v0=".to_owned()),
        ] {
            let altered = claim(timestamp, &signature).unwrap();
            assert_eq!(ours.check_body(&altered, COMPLETED.as_bytes()), Err(Forged::Wrong), "{timestamp} {signature}");
        }
    }

    #[test]
    fn headers_that_are_not_in_their_form_are_told_apart_from_none() {
        assert_eq!(Claim::read(&HeaderMap::new()), Err(Forged::Unsigned));
        let mut half = HeaderMap::new();
        half.insert(SIGNATURE, HeaderValue::from_static(OF_COMPLETED));
        assert_eq!(Claim::read(&half), Err(Forged::Unsigned));
        half.insert(TIMESTAMP, HeaderValue::from_bytes("１７７".as_bytes()).unwrap());
        assert_eq!(Claim::read(&half), Err(Forged::Malformed));
        for (timestamp, signature) in [
            ("", OF_COMPLETED),
            ("soon", OF_COMPLETED),
            ("1770000100.5", OF_COMPLETED),
            ("99999999999999999999", OF_COMPLETED),
            ("9223372036854775807", OF_COMPLETED),
            ("1770000100", ""),
            ("1770000100", &OF_COMPLETED[3..]),
            ("1770000100", "v1=00"),
            ("1770000100", "v0=0"),
            ("1770000100", "v0=zz"),
        ] {
            assert_eq!(claim(timestamp, signature), Err(Forged::Malformed), "{timestamp} {signature}");
        }
    }

    #[test]
    fn a_timestamp_may_be_off_either_way_but_not_too_far() {
        let ours = verifier("whsec-example-0001");
        let signed = claim("1770000100", OF_COMPLETED).unwrap();
        let at = |seconds: i64| signed.sent_at + SignedDuration::from_secs(seconds);
        for seconds in [-300, 0, 300] {
            assert_eq!(ours.check_time(&signed, at(seconds)), Ok(()), "{seconds}");
        }
        for seconds in [-301, 301, 86_400] {
            assert_eq!(ours.check_time(&signed, at(seconds)), Err(Forged::Stale), "{seconds}");
        }
        let ends = claim("-377705023201", OF_COMPLETED).unwrap();
        assert_eq!(ours.check_time(&ends, Timestamp::MAX), Err(Forged::Stale));
    }

    #[test]
    fn the_secret_is_not_printed() {
        let printed = format!("{:?}", verifier("whsec-example-0001"));
        assert!(!printed.contains("whsec"), "{printed}");
    }
}
