//! One object of the store as the Parquet reader wants it: byte ranges on demand, and its end with one request.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

/// How much of the end is read at once. In a day's file of a thousand calls the footer, the page index and the bloom
/// filters are in it, so that one request says whether a recording is there.
const TAIL_BYTES: u64 = 64 * 1024;

#[derive(Clone)]
pub(super) struct ObjectFile {
    store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    size: u64,
    /// The last bytes of the object, once they were read.
    tail: Bytes,
}

impl ObjectFile {
    pub(super) fn new(store: &Arc<dyn ObjectStore>, object: ObjectMeta) -> Self {
        Self { store: Arc::clone(store), path: object.location, size: object.size, tail: Bytes::new() }
    }

    pub(super) fn key(&self) -> String {
        self.path.to_string()
    }

    /// These bytes, where they are in the tail.
    fn in_tail(&self, range: &Range<u64>) -> Option<Bytes> {
        let start = range.start.checked_sub(self.size - self.tail.len() as u64)?;
        let (start, length) = (usize::try_from(start).ok()?, usize::try_from(range.end - range.start).ok()?);
        (start + length <= self.tail.len()).then(|| self.tail.slice(start..start + length))
    }
}

impl AsyncFileReader for ObjectFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        if let Some(bytes) = self.in_tail(&range) {
            return futures::future::ready(Ok(bytes)).boxed();
        }
        self.store.get_range(&self.path, range).map_err(failed).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        if let Some(found) = ranges.iter().map(|range| self.in_tail(range)).collect() {
            return futures::future::ready(Ok(found)).boxed();
        }
        // The store fetches what lies close together at once.
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(failed) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let size = self.size;
            self.tail = self.get_bytes(size.saturating_sub(TAIL_BYTES)..size).await?;
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}

fn failed(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
