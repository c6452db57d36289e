//! What the error answers of the token endpoint mean: final, or worth another try.

use jiff::Timestamp;

use crate::config::ZoomMode;
use crate::net::{Answer, retry_after};
use crate::source::zoom::error::{ErrorBody, Refusal, ZoomError, judge_rate_limit, plain};

/// Judges an error answer of the token endpoint: whatever is not throttling or trouble at Zoom is final. `now` is for
/// dates in its headers.
#[must_use]
pub fn judge_token_answer(answer: &Answer, mode: ZoomMode, now: Timestamp) -> ZoomError {
    let body = ErrorBody::read(&answer.body);
    let after = answer.header("retry-after").and_then(|value| retry_after::parse(value, now));
    match answer.status {
        429 => judge_rate_limit(answer, &body, after, now),
        status @ (408 | 425 | 500..) => ZoomError::Status { status, code: body.code, after },
        status @ 400..500 => ZoomError::Refused(refusal(status, &body, mode)),
        _ => ZoomError::Unreadable,
    }
}

fn refusal(status: u16, body: &ErrorBody, mode: ZoomMode) -> Refusal {
    let error = body.error.as_deref().map(|error| plain(error, 40)).filter(|error| !error.is_empty());
    let label = match (&error, body.code) {
        (_, Some(code)) => format!("code {code}"),
        (Some(error), None) => error.clone(),
        (None, None) => format!("status {status}"),
    };
    let is_dead_token = body.message.contains("invalid token");
    match (body.code, error.as_deref()) {
        (Some(4705), _) | (None, Some("unsupported_grant_type")) => Refusal::WrongKindOfApp { label },
        (Some(4709), _) => Refusal::RedirectAddress { label },
        (Some(4711), _) => Refusal::AppChanged { label },
        (Some(4735), _) => Refusal::OwnerGone { label },
        (Some(4738), _) => Refusal::Disabled { label },
        (Some(4733 | 4741), _) if mode == ZoomMode::User => Refusal::SignInOver { label },
        (None, Some("invalid_grant")) if mode == ZoomMode::User => Refusal::SignInOver { label },
        (None, _) if mode == ZoomMode::User && is_dead_token => Refusal::SignInOver { label },
        _ => Refusal::Credentials { label },
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::net::{Classify, Verdict};

    fn judged(status: u16, body: &str, mode: ZoomMode) -> ZoomError {
        let answer = Answer { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() };
        judge_token_answer(&answer, mode, "2026-11-07T23:00:00Z".parse().unwrap())
    }

    #[test]
    fn the_token_endpoint_is_final_unless_it_is_throttled_or_broken() {
        let invalid = judged(400, r#"{"reason":"Invalid","error":"invalid_client"}"#, ZoomMode::Account);
        assert_eq!(invalid.verdict(), Verdict::Stop);
        assert!(invalid.to_string().contains("invalid_client"));
        for status in [408, 429, 500, 503] {
            assert_ne!(judged(status, "", ZoomMode::User).verdict(), Verdict::Stop);
        }
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let login = "run `transcribe auth login`";
        let cases = [
            (400, r#"{"reason":"Invalid Token!","error":"invalid_grant"}"#, login),
            (401, r#"{"reason":"Invalid Token!","error":"invalid_request"}"#, login),
            (400, r#"{"code":4741,"message":"revoked"}"#, login),
            (400, r#"{"code":4733}"#, login),
            (400, r#"{"code":4711}"#, login),
            (400, r#"{"code":4735}"#, login),
            (401, r#"{"error":"invalid_client"}"#, "ZOOM_CLIENT_SECRET"),
            (401, r#"{"error":"unauthorized_client"}"#, "ZOOM_CLIENT_SECRET"),
            (400, r#"{"code":4702}"#, "ZOOM_CLIENT_SECRET"),
            (400, r#"{"code":"4704"}"#, "ZOOM_CLIENT_SECRET"),
            (400, r#"{"code":4706}"#, "ZOOM_CLIENT_SECRET"),
            (400, r#"{"code":4705}"#, "zoom.mode"),
            (400, r#"{"code":4709}"#, "http://127.0.0.1"),
            (400, r#"{"code":4738}"#, "administrator"),
            (418, "", "ZOOM_CLIENT_SECRET"),
        ];
        for (status, body, advice) in cases {
            let error = judged(status, body, ZoomMode::User);
            assert!(error.to_string().contains(advice), "{body}: {error}");
            assert_eq!(error.verdict(), Verdict::Stop);
        }
        let account = judged(400, r#"{"reason":"Invalid Token!","error":"invalid_grant"}"#, ZoomMode::Account);
        assert!(account.to_string().contains("ZOOM_ACCOUNT_ID"), "{account}");
    }

    #[test]
    fn text_from_outside_does_not_come_through() {
        let label = judged(401, &format!(r#"{{"error":"{}"}}"#, "x".repeat(9_999)), ZoomMode::Account);
        assert!(label.to_string().len() < 300);
        assert!(!judged(401, r#"{"error":"+81355500123 \u001b"}"#, ZoomMode::Account).to_string().contains("355"));
    }
}
