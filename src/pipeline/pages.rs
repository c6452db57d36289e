//! One slice of a listing, page by page.

use tokio::sync::mpsc;

use super::{RunError, Stop};
use crate::domain::Recording;
use crate::source::{Listed, RecordingSource, Slice, SourceError};

/// Pages that wait to be taken.
const PAGES_AHEAD: usize = 2;

/// Lists `slice` and hands its pages to `take` as they come. Whatever goes wrong ends the listing.
pub(super) async fn each_page(
    source: &dyn RecordingSource,
    slice: &Slice,
    stop: &Stop,
    mut take: impl AsyncFnMut(Vec<Recording>) -> Result<(), RunError>,
) -> Result<Listed, RunError> {
    let (pages, mut incoming) = mpsc::channel(PAGES_AHEAD);
    let listing = source.list(slice, pages);
    // An error drops the receiver, so that a listing in flight ends as well.
    let taking = async move {
        while let Some(page) = incoming.recv().await {
            take(page).await?;
        }
        Ok::<_, RunError>(())
    };
    tokio::select! {
        (listed, taken) = async { tokio::join!(listing, taking) } => {
            taken?;
            Ok(listed?)
        }
        () = stop.aborting() => Err(SourceError::Stopped.into()),
    }
}
