//! One Parquet file in memory, read as if it had every column of today.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::digest::{Digest, Digester};
use crate::lake::read::{ReadError, WRONG_TYPE};
use crate::lake::schema::{Table, describe};

/// Rows of a file that are in memory at a time.
pub(in crate::lake) const BATCH_ROWS: usize = 4_096;

/// The bytes of a file, and its footer.
pub(in crate::lake) struct File {
    bytes: Bytes,
    footer: ArrowReaderMetadata,
}

impl File {
    /// # Errors
    /// When it has no footer that can be read.
    pub(in crate::lake) fn open(bytes: Bytes) -> Result<Self, ReadError> {
        let footer = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::default())?;
        Ok(Self { bytes, footer })
    }

    /// How many rows its row groups hold together.
    pub(in crate::lake) fn rows(&self) -> usize {
        let groups = self.footer.metadata().row_groups().iter();
        groups.map(|group| usize::try_from(group.num_rows()).unwrap_or(usize::MAX)).fold(0, usize::saturating_add)
    }

    /// The version of the schema that the footer names.
    pub(super) fn schema_version(&self) -> Option<i32> {
        let footer = self.footer.metadata().file_metadata().key_value_metadata();
        let entry = footer.into_iter().flatten().find(|entry| entry.key == "schema_version");
        entry.and_then(|entry| entry.value.as_deref()?.parse().ok())
    }

    /// Its rows with the columns of `schema`, `rows` at a time. Those that it lacks are empty.
    ///
    /// # Errors
    /// As of the iterator, which fails for a damaged page, for a column of another type, and where it ends before every
    /// row was read: whoever writes the file anew would lose the rest.
    pub(in crate::lake) fn batches(&self, schema: &SchemaRef, rows: usize) -> Result<Batches, ReadError> {
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let wanted = ProjectionMask::columns(self.footer.parquet_schema(), names);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.footer.clone());
        let reader = reader.with_projection(wanted).with_batch_size(rows).build()?;
        Ok(Batches { reader, schema: Arc::clone(schema), missing: self.rows() })
    }

    /// The digest of its rows with the columns of `schema`.
    ///
    /// # Errors
    /// As [`File::batches`].
    pub(in crate::lake) fn digest(&self, schema: &SchemaRef) -> Result<Digest, ReadError> {
        let mut digester = Digester::new(schema)?;
        for batch in self.batches(schema, BATCH_ROWS)? {
            digester.add(&batch?)?;
        }
        Ok(digester.digest())
    }
}

/// The columns of today, then those that a file has and this version does not know.
pub(in crate::lake) fn whole_schema(table: Table, files: &[File]) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = describe(table)
        .iter()
        .map(|column| Arc::new(Field::new(column.name, column.column_type.arrow(), true)))
        .collect();
    for field in files.iter().flat_map(|file| file.footer.schema().fields()) {
        if !fields.iter().any(|known| known.name() == field.name()) {
            fields.push(Arc::clone(field));
        }
    }
    Arc::new(Schema::new(fields))
}

/// The rows of a file, batch by batch.
pub(in crate::lake) struct Batches {
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    /// Rows that were not read yet.
    missing: usize,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(batch) = self.reader.next() else {
            let missing = std::mem::take(&mut self.missing);
            return (missing > 0).then(|| Err(format!("{missing} of its rows cannot be read").into()));
        };
        Some(batch.map_err(ReadError::from).and_then(|batch| {
            self.missing = self.missing.saturating_sub(batch.num_rows());
            self.complete(&batch)
        }))
    }
}

impl Batches {
    fn complete(&self, batch: &RecordBatch) -> Result<RecordBatch, ReadError> {
        let column = |field: &Arc<Field>| -> Result<ArrayRef, ReadError> {
            match batch.column_by_name(field.name()) {
                Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
                Some(_other) => Err(WRONG_TYPE.into()),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            }
        };
        let columns = self.schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}
