//! What rows hold, whatever their order: two files with the same digest hold the same rows.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use twox_hash::XxHash3_128;

/// How many rows there are, and the sum of their hashes: 128 bits of XXH3 over every column of a row. It tells damage,
/// not malice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::lake) struct Digest {
    pub(in crate::lake) rows: u64,
    sum: u128,
}

/// Computes the digest of batches of one schema.
pub(in crate::lake) struct Digester {
    converter: RowConverter,
    digest: Digest,
}

impl Digester {
    pub(in crate::lake) fn new(schema: &SchemaRef) -> Result<Self, ArrowError> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        Ok(Self { converter: RowConverter::new(fields)?, digest: Digest::default() })
    }

    pub(in crate::lake) fn add(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        for row in &self.converter.convert_columns(batch.columns())? {
            self.digest.sum = self.digest.sum.wrapping_add(XxHash3_128::oneshot(row.as_ref()));
        }
        self.digest.rows += batch.num_rows() as u64;
        Ok(())
    }

    pub(in crate::lake) const fn digest(&self) -> Digest {
        self.digest
    }
}
