//! Reading numbers and strings from a file that may lie about its sizes: every length is compared with what is left of
//! the file before anything is allocated.

use std::io::{BufReader, Read, Seek};

use super::error::FormatError;

/// A little-endian reader that knows how long its file is.
pub(super) struct BoundedReader<R> {
    inner: BufReader<R>,
    position: u64,
    length: u64,
}

impl<R: Read + Seek> BoundedReader<R> {
    /// `inner` stands at its start; `length` is the file's size in bytes.
    pub(super) fn new(inner: R, length: u64) -> Self {
        Self { inner: BufReader::new(inner), position: 0, length }
    }

    /// Bytes read or skipped so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.position == self.length
    }

    pub(super) fn bytes(&mut self, count: u64, what: &'static str) -> Result<Vec<u8>, FormatError> {
        self.claim(count, what)?;
        let count = usize::try_from(count).map_err(|_too_big| FormatError::OutOfRange { what, value: count })?;
        let mut bytes = vec![0; count];
        self.inner.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn skip(&mut self, count: u64, what: &'static str) -> Result<(), FormatError> {
        self.claim(count, what)?;
        let distance = i64::try_from(count).map_err(|_too_big| FormatError::OutOfRange { what, value: count })?;
        Ok(self.inner.seek_relative(distance)?)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, FormatError> {
        let [byte] = self.array(what)?;
        Ok(byte)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, FormatError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// A 32-bit number that may be at most `greatest`.
    pub(super) fn u32_up_to(&mut self, greatest: u32, what: &'static str) -> Result<u32, FormatError> {
        let value = self.u32(what)?;
        if value > greatest {
            return Err(FormatError::OutOfRange { what, value: u64::from(value) });
        }
        Ok(value)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FormatError> {
        let mut bytes = [0; N];
        self.claim(N as u64, what)?;
        self.inner.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn claim(&mut self, count: u64, what: &'static str) -> Result<(), FormatError> {
        if count > self.length - self.position {
            return Err(FormatError::Truncated { what, needed: count, offset: self.position, length: self.length });
        }
        self.position += count;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn a_length_beyond_the_end_is_refused_before_it_is_allocated() {
        let mut reader = BoundedReader::new(Cursor::new(vec![1, 0, 0, 0, 9]), 5);
        assert_eq!(reader.u32("count").unwrap(), 1);
        let error = reader.bytes(u64::MAX, "name").unwrap_err();
        assert_eq!(error.to_string(), format!("cut short: name needs {} bytes at 4 of 5", u64::MAX));
        assert_eq!(reader.u8("last").unwrap(), 9);
        assert!(reader.is_at_end());
        assert!(matches!(reader.skip(1, "more"), Err(FormatError::Truncated { .. })));
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_an_error() {
        let mut reader = BoundedReader::new(Cursor::new(vec![1, 2]), 100);
        assert!(matches!(reader.u32("count"), Err(FormatError::Read(_))));
    }
}
