//! A failed download in the words of the ledger: reason, treatment, and a detail of codes and numbers.

use std::time::Duration;

use super::error::{Refusal, ZoomError};
use crate::domain::{Failure, Reason, Stage, Treatment};
use crate::fetch::{DownloadError, Sniffed};
use crate::net::{AddressError, BodyError};

/// The pause before a recording that is not listed yet is asked for again.
const NOT_YET_LISTED: Duration = Duration::from_secs(60);

/// What became of a recording whose download failed after all retries.
#[must_use]
pub fn of_download(error: &ZoomError) -> Failure {
    let (reason, treatment, detail) = match error {
        ZoomError::Refused(refusal) => (Reason::CredentialsRefused, Treatment::Fatal, refusal.detail()),
        ZoomError::TokenRefused => (Reason::CredentialsRefused, Treatment::Fatal, Refusal::Token.detail()),
        ZoomError::Forbidden => (Reason::Forbidden, Treatment::Permanent, "status=403".to_owned()),
        // The recording is innocent and every other one would fail alike.
        ZoomError::RateLimit { .. } => (Reason::DailyLimit, Treatment::Local, "status=429".to_owned()),
        ZoomError::Status { status, code, .. } => {
            let reason = if error.is_missing_file() { Reason::NotFound } else { Reason::SourceUnavailable };
            let code = code.map_or_else(String::new, |code| format!(" code={code}"));
            (reason, Treatment::Transient, format!("status={status}{code}"))
        }
        ZoomError::Download(error) => of_attempt(error),
        ZoomError::TooFast { .. } => unavailable("status=429"),
        ZoomError::Unreachable { .. } => unavailable("unreachable"),
        ZoomError::NoAnswer => unavailable("no_answer"),
        ZoomError::Body(_) | ZoomError::Unreadable | ZoomError::PageTokens | ZoomError::Endless { .. } => {
            unavailable("bad_answer")
        }
        ZoomError::Store(_) => (Reason::Disk, Treatment::Local, "sign_in".to_owned()),
    };
    let mut failure = Failure::new(Stage::Fetch, reason, treatment, detail);
    failure.retry_after_s = retry_after(error).map(|wait| wait.as_secs());
    failure
}

/// What became of a recording that Zoom has no file for and lists no longer.
#[must_use]
pub fn of_deleted(missing: &ZoomError) -> Failure {
    let failure = of_download(missing);
    Failure { treatment: Treatment::Permanent, detail: format!("{} listed=no", failure.detail), ..failure }
}

/// What became of a recording that an event told of and that Zoom neither has a file for nor lists yet.
#[must_use]
pub fn of_not_yet_listed(missing: &ZoomError) -> Failure {
    let failure = of_download(missing);
    Failure {
        treatment: Treatment::TooEarly,
        detail: format!("{} listed=not_yet", failure.detail),
        retry_after_s: Some(NOT_YET_LISTED.as_secs()),
        ..failure
    }
}

fn unavailable(detail: &str) -> (Reason, Treatment, String) {
    (Reason::SourceUnavailable, Treatment::Transient, detail.to_owned())
}

fn of_attempt(error: &DownloadError) -> (Reason, Treatment, String) {
    match error {
        DownloadError::Address(error) => {
            (Reason::ForbiddenAddress, Treatment::Permanent, address_detail(error).to_owned())
        }
        DownloadError::TooManyRedirects => unavailable("too_many_redirects"),
        DownloadError::Status(answer) => unavailable(&format!("status={}", answer.status)),
        DownloadError::FileHostStatus { status: status @ (404 | 410) } => {
            (Reason::NotFound, Treatment::Transient, format!("file_host_status={status}"))
        }
        DownloadError::FileHostStatus { status } => unavailable(&format!("file_host_status={status}")),
        DownloadError::Unreachable(_) => unavailable("unreachable"),
        DownloadError::NoAnswer => unavailable("no_answer"),
        DownloadError::TooSlow => unavailable("too_slow"),
        DownloadError::OtherFile => unavailable("other_file"),
        DownloadError::Body(BodyError::Stalled { got }) => unavailable(&format!("stalled bytes={got}")),
        DownloadError::Body(BodyError::Cut { got, expected, .. }) => {
            let expected = expected.map_or_else(String::new, |expected| format!(" expected={expected}"));
            (Reason::Truncated, Treatment::Transient, format!("bytes={got}{expected}"))
        }
        DownloadError::Body(BodyError::TooLarge { limit }) => {
            (Reason::TooLarge, Treatment::Permanent, format!("limit={limit}"))
        }
        DownloadError::Empty => (Reason::Empty, Treatment::Transient, "bytes=0".to_owned()),
        DownloadError::NotAudio(kind @ Sniffed::OtherAudio) => {
            (Reason::UnsupportedFormat, Treatment::Permanent, format!("content={}", kind.as_str()))
        }
        // A page with status 200 may be a hiccup; if it is not, the recording runs out of attempts.
        DownloadError::NotAudio(kind) => (Reason::NotAudio, Treatment::Transient, format!("content={}", kind.as_str())),
        DownloadError::Disk(error) => (Reason::Disk, Treatment::Local, format!("kind={}", error.kind())),
    }
}

const fn address_detail(error: &AddressError) -> &'static str {
    match error {
        AddressError::Malformed => "malformed",
        AddressError::PlainHttp => "plain_http",
        AddressError::Scheme => "scheme",
        AddressError::Credentials => "credentials",
        AddressError::UnlistedHost => "unlisted_host",
        AddressError::PrivateAddress => "private_address",
    }
}

const fn retry_after(error: &ZoomError) -> Option<Duration> {
    match error {
        ZoomError::RateLimit { resumes_in } => Some(*resumes_in),
        ZoomError::TooFast { after } => Some(*after),
        ZoomError::Status { after, .. } => *after,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn judged(error: &ZoomError) -> (Reason, Treatment, String) {
        let failure = of_download(error);
        (failure.reason, failure.treatment, failure.detail)
    }

    fn attempt(error: DownloadError) -> (Reason, Treatment, String) {
        judged(&ZoomError::Download(Arc::new(error)))
    }

    #[test]
    fn a_missing_file_may_still_come() {
        let missing = ZoomError::Status { status: 400, code: Some(404), after: None };
        assert_eq!(judged(&missing), (Reason::NotFound, Treatment::Transient, "status=400 code=404".into()));
    }

    #[test]
    fn a_refused_app_stops_the_run_and_names_the_scope() {
        let refused = ZoomError::Refused(Refusal::Scope { scopes: "phone:read:call_recording:admin".into() });
        let expected = "code=104 scope=phone:read:call_recording:admin";
        assert_eq!(judged(&refused), (Reason::CredentialsRefused, Treatment::Fatal, expected.into()));
    }

    #[test]
    fn a_used_up_day_gives_the_attempt_back_and_says_when_to_return() {
        let failure = of_download(&ZoomError::RateLimit { resumes_in: Duration::from_secs(3_600) });
        assert_eq!((failure.reason, failure.treatment), (Reason::DailyLimit, Treatment::Local));
        assert_eq!(failure.retry_after_s, Some(3_600));
    }

    #[test]
    fn a_body_that_breaks_off_is_tried_again_and_one_too_large_is_not() {
        let cut = BodyError::Cut { got: 10, expected: Some(20), source: None };
        let expected = (Reason::Truncated, Treatment::Transient, "bytes=10 expected=20".into());
        assert_eq!(attempt(DownloadError::Body(cut)), expected);
        let large = attempt(DownloadError::Body(BodyError::TooLarge { limit: 5 }));
        assert_eq!(large, (Reason::TooLarge, Treatment::Permanent, "limit=5".into()));
    }

    #[test]
    fn a_full_disk_is_not_the_recordings_fault() {
        let full = DownloadError::Disk(std::io::ErrorKind::StorageFull.into());
        assert_eq!(attempt(full).1, Treatment::Local);
    }
}
