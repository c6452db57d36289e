//! Objects of a bucket that are too large for one request: they are put in parts, and appear when the last one is there.
//!
//! Parts of an upload that was never ended are to be seen nowhere and cost money for ever. So each upload is noted in
//! the bucket, under `_uploads/<key>.upload`, before its first part; what a crash leaves is found there and given up.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, Result};

use crate::failpoint;

/// Objects of more bytes are put in parts. S3 takes 5 GiB in one request; a request that fails is made again as a whole.
const LARGE: usize = 64 << 20;

/// The bytes of a part, at least 5 MiB for S3, which takes 10,000 of them.
const PART: usize = 16 << 20;

const PARTS_AT_ONCE: usize = 4;

const NOTES: &str = "_uploads";

/// The way of a bucket to take parts.
#[derive(Clone)]
pub(super) struct Parts {
    store: Arc<dyn MultipartStore>,
    prefix: Path,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Parts").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Parts {
    pub(super) fn new(store: Arc<dyn MultipartStore>, prefix: Path) -> Self {
        Self { store, prefix }
    }

    /// Whether an object of so many bytes is put in parts.
    pub(super) fn are_for(bytes: usize) -> bool {
        let for_a_test = failpoint::value("large-bytes").and_then(|bytes| bytes.parse().ok());
        bytes > for_a_test.unwrap_or(LARGE)
    }

    /// Puts an object, in place of one that may be there. `objects` is the same bucket, below the prefix.
    pub(super) async fn put(&self, objects: &Arc<dyn ObjectStore>, key: &Path, bytes: &Bytes) -> Result<()> {
        let whole = self.whole(key);
        let upload = self.store.create_multipart(&whole).await?;
        objects.put(&note(key), upload.clone().into_bytes().into()).await?;
        failpoint::pass("upload-noted");
        let part = |(index, start): (usize, usize)| {
            let part = bytes.slice(start..bytes.len().min(start + PART));
            let (whole, upload) = (&whole, &upload);
            async move { self.store.put_part(whole, upload, index, part.into()).await }
        };
        let starts = (0..bytes.len()).step_by(PART).enumerate();
        let ended = async {
            let parts: Vec<PartId> = stream::iter(starts).map(part).buffered(PARTS_AT_ONCE).try_collect().await?;
            failpoint::pass("upload-parts-put");
            self.store.complete_multipart(&whole, &upload, parts).await
        };
        match ended.await {
            Ok(_) => objects.delete(&note(key)).await,
            Err(error) => {
                // Where this fails too, the note stays for the next writer.
                let _given_up = self.give_up(objects, key, &upload).await;
                Err(error)
            }
        }
    }

    /// Gives up the uploads that a crash interrupted; returns how many.
    pub(super) async fn give_up_all(&self, objects: &Arc<dyn ObjectStore>) -> Result<usize> {
        let notes: Vec<_> = objects.list(Some(&Path::from(NOTES))).try_collect().await?;
        for found in &notes {
            let upload = objects.get(&found.location).await?.bytes().await?;
            let name = found.location.as_ref().strip_prefix("_uploads/").and_then(|name| name.strip_suffix(".upload"));
            if let (Some(key), Ok(upload)) = (name, std::str::from_utf8(&upload)) {
                self.give_up(objects, &Path::parse(key)?, upload).await?;
            }
        }
        Ok(notes.len())
    }

    async fn give_up(&self, objects: &Arc<dyn ObjectStore>, key: &Path, upload: &str) -> Result<()> {
        match self.store.abort_multipart(&self.whole(key), &upload.to_owned()).await {
            // One that was ended after all is not there to be given up.
            Ok(()) | Err(object_store::Error::NotFound { .. }) => objects.delete(&note(key)).await,
            Err(error) => Err(error),
        }
    }

    fn whole(&self, key: &Path) -> Path {
        self.prefix.parts().chain(key.parts()).collect()
    }
}

fn note(key: &Path) -> Path {
    Path::from(NOTES).parts().chain(Path::from(format!("{key}.upload")).parts()).collect()
}
