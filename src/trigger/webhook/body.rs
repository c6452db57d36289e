//! Reads a request's body, which may be too large, never end, or break off.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use futures::StreamExt;
use tokio::time::timeout;

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    TooSlow,
    BrokenOff,
}

/// Reads at most `limit` bytes, all of which must come within `time`; of one that announces more, nothing is read.
pub(super) async fn read(body: Body, limit: usize, time: Duration) -> Result<Vec<u8>, Unread> {
    if usize::try_from(body.size_hint().lower()).map_or(true, |announced| announced > limit) {
        return Err(Unread::TooLarge);
    }
    timeout(time, collect(body, limit)).await.unwrap_or(Err(Unread::TooSlow))
}

async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, Unread> {
    let (mut bytes, mut chunks) = (Vec::new(), body.into_data_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_lost| Unread::BrokenOff)?;
        if chunk.len() > limit - bytes.len() {
            return Err(Unread::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures::stream;

    type Chunk = Result<Bytes, std::io::Error>;

    fn chunks(chunks: Vec<Chunk>) -> Body {
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_read_within_its_size_and_time() {
        let hour = Duration::from_secs(3_600);
        let parts = || vec![Ok("abc".into()), Ok("def".into())];
        assert_eq!(read(chunks(parts()), 6, hour).await.unwrap(), b"abcdef");
        assert_eq!(read(chunks(parts()), 5, hour).await, Err(Unread::TooLarge));
        assert_eq!(read(Body::from("abcdef"), 5, hour).await, Err(Unread::TooLarge));
        assert_eq!(read(Body::empty(), 0, hour).await.unwrap(), b"");
        let broken = chunks(vec![Ok("abc".into()), Err(std::io::Error::other("gone"))]);
        assert_eq!(read(broken, 6, hour).await, Err(Unread::BrokenOff));
        let slow = stream::iter(parts()).chain(stream::pending::<Chunk>());
        assert_eq!(read(Body::from_stream(slow), 100, hour).await, Err(Unread::TooSlow));
    }
}
