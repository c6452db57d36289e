//! Finished transcripts on disk, from the end of speech-to-text until they are published.
//!
//! One file per recording and fingerprint: a line of JSON that holds the format and a checksum, then the transcript as
//! JSON. The first one counts: once a batch has begun to publish it, a second transcription of the same fingerprint
//! must not put other times beside the rows that are already there. So publish what [`Staging::load`] returns.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::durable;
use crate::domain::{Fingerprint, FinishedTranscript, RecordingId};

const SUFFIX: &str = ".staged";
const FORMAT: u32 = 1;

/// More than a day of dense speech. A larger file was not written by this program.
const MAX_BYTES: u64 = 1 << 30;

/// File names may have 255 bytes; a longer id is cut and told apart by its digest.
const MAX_STEM_BYTES: usize = 160;

/// The first line of a staged file.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    /// SHA-256 of all that follows the line, lower-case hex.
    sha256: String,
}

/// One staged file, by name: it stays valid when the folder moves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StagedRef {
    name: String,
    bytes: u64,
}

impl StagedRef {
    /// The file's name inside the staging folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Size of the file.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Why a staged transcript cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StagingError {
    #[error("there is no staged transcript {name}")]
    Missing { name: String },
    /// Transcribe the recording again.
    #[error("staged transcript {name} is damaged: {problem}")]
    Corrupt { name: String, problem: &'static str },
    /// Left alone: the version that wrote it can still publish it.
    #[error("staged transcript {name} was written by a newer version (format {format})")]
    Newer { name: String, format: u32 },
    #[error("staged transcript {name} could not be read")]
    Io {
        name: String,
        #[source]
        source: io::Error,
    },
}

/// The staging folder.
#[derive(Debug, Clone)]
pub struct Staging {
    folder: PathBuf,
}

/// An unfinished file of this age belongs to no running process: writing one takes moments.
const STALE: Duration = Duration::from_secs(3_600);

fn remove_if_stale(path: &Path) -> io::Result<()> {
    // Another process may have finished or removed it in the meantime.
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let modified = match fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Err(error) if gone(&error) => return Ok(()),
        modified => modified?,
    };
    if modified.elapsed().is_ok_and(|age| age >= STALE) {
        match fs::remove_file(path) {
            Err(error) if !gone(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

impl Staging {
    /// Opens the folder, creates it (0700) if it is missing, and removes what an interrupted `put` left there long
    /// ago. Several processes may use it.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let staging = Self { folder: folder.into() };
        create_private_folder(&staging.folder)?;
        for name in staging.names()? {
            if name.ends_with(durable::UNFINISHED) {
                remove_if_stale(&staging.folder.join(name))?;
            }
        }
        Ok(staging)
    }

    /// Writes a transcript durably: when this returns, it survives a power cut. Blocks on the disk.
    ///
    /// A sound file of the same recording and fingerprint is kept instead, and its reference returned.
    ///
    /// # Errors
    /// `InvalidData` when a number in the transcript is not finite; else whatever the file system says.
    pub fn put(&self, finished: &FinishedTranscript) -> io::Result<StagedRef> {
        let name = Self::name_of(&finished.recording.id, &finished.fingerprint);
        let path = self.folder.join(&name);
        if let Ok(metadata) = fs::metadata(&path) {
            let earlier = StagedRef { name: name.clone(), bytes: metadata.len() };
            if self.load(&earlier).is_ok() {
                return Ok(earlier);
            }
        }
        let file = to_bytes(finished)?;
        durable::replace(&path, &file, 0o600)?;
        Ok(StagedRef { name, bytes: file.len() as u64 })
    }

    /// Reads a transcript back. Blocks on the disk.
    ///
    /// # Errors
    /// [`StagingError`]; damage of any kind is noticed.
    pub fn load(&self, staged: &StagedRef) -> Result<FinishedTranscript, StagingError> {
        let name = || staged.name.clone();
        let corrupt = |problem| StagingError::Corrupt { name: name(), problem };
        if Path::new(&staged.name).file_name() != Some(staged.name.as_ref()) {
            return Err(corrupt("its name leads out of the folder"));
        }
        let file = fs::File::open(self.folder.join(&staged.name)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StagingError::Missing { name: name() },
            _ => StagingError::Io { name: name(), source },
        })?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|source| StagingError::Io { name: name(), source })?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(corrupt("it is too large"));
        }
        from_bytes(&staged.name, &bytes)
    }

    /// A transcript as it lies in the folder, to be put into another one by [`Staging::accept`]. Blocks on the disk.
    ///
    /// # Errors
    /// [`StagingError::Missing`], [`StagingError::Io`].
    pub fn bytes_of(&self, id: &RecordingId, fingerprint: &Fingerprint) -> Result<Vec<u8>, StagingError> {
        let name = Self::name_of(id, fingerprint);
        fs::read(self.folder.join(&name)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StagingError::Missing { name },
            _ => StagingError::Io { name, source },
        })
    }

    /// Writes what another machine staged, durably, after all that [`Staging::load`] looks at. Blocks on the disk.
    ///
    /// # Errors
    /// [`StagingError`].
    pub fn accept(
        &self,
        id: &RecordingId,
        fingerprint: &Fingerprint,
        bytes: &[u8],
    ) -> Result<FinishedTranscript, StagingError> {
        let name = Self::name_of(id, fingerprint);
        let finished = from_bytes(&name, bytes)?;
        let written = durable::replace(&self.folder.join(&name), bytes, 0o600);
        written.map_err(|source| StagingError::Io { name, source })?;
        Ok(finished)
    }

    /// Removes a transcript that is published. One that is gone already is no error.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn remove(&self, staged: &StagedRef) -> io::Result<()> {
        match fs::remove_file(self.folder.join(&staged.name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes every staged transcript of a recording.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn remove_all_of(&self, id: &RecordingId) -> io::Result<()> {
        for staged in self.list()? {
            if self.load(&staged).is_ok_and(|finished| finished.recording.id == *id) {
                self.remove(&staged)?;
            }
        }
        Ok(())
    }

    /// Removes what is not finished, whoever writes it.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn remove_unfinished(&self) -> io::Result<()> {
        for name in self.names()?.into_iter().filter(|name| name.ends_with(durable::UNFINISHED)) {
            match fs::remove_file(self.folder.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// All staged transcripts, ordered by name.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn list(&self) -> io::Result<Vec<StagedRef>> {
        let mut staged = Vec::new();
        for name in self.names()? {
            if !name.ends_with(SUFFIX) {
                continue;
            }
            match fs::metadata(self.folder.join(&name)) {
                Ok(metadata) => staged.push(StagedRef { name, bytes: metadata.len() }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(staged)
    }

    /// The staged transcript of this recording and fingerprint, if there is one.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn find(&self, id: &RecordingId, fingerprint: &Fingerprint) -> io::Result<Option<StagedRef>> {
        let name = Self::name_of(id, fingerprint);
        match fs::metadata(self.folder.join(&name)) {
            Ok(metadata) => Ok(Some(StagedRef { name, bytes: metadata.len() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `<recording>.<first 16 digits of the fingerprint>.staged`.
    fn name_of(id: &RecordingId, fingerprint: &Fingerprint) -> String {
        let stem = stem_of(id);
        let fingerprint = fingerprint.as_str();
        format!("{stem}.{}{SUFFIX}", fingerprint.get(..16).unwrap_or(fingerprint))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            // A name that is not UTF-8 is not one of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

/// The id as a piece of a file name that is no longer than file systems take.
pub(super) fn stem_of(id: &RecordingId) -> String {
    let mut stem = id.file_stem();
    if stem.len() > MAX_STEM_BYTES {
        let digest = hex::encode(Sha256::digest(id.as_str().as_bytes()));
        stem.truncate(MAX_STEM_BYTES);
        stem.push('-');
        stem.push_str(&digest[..32]);
    }
    stem
}

/// Reads a transcript that lies under `name`; damage of any kind is noticed.
fn from_bytes(name: &str, bytes: &[u8]) -> Result<FinishedTranscript, StagingError> {
    let corrupt = |problem| StagingError::Corrupt { name: name.to_owned(), problem };
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or_else(|| corrupt("it has no header"))?;
    let (line, body) = (&bytes[..end], &bytes[end + 1..]);
    let header: Header = serde_json::from_slice(line).map_err(|_not_json| corrupt("its header is not readable"))?;
    if header.format != FORMAT {
        return Err(StagingError::Newer { name: name.to_owned(), format: header.format });
    }
    if header.sha256 != hex::encode(Sha256::digest(body)) {
        return Err(corrupt("its checksum is wrong"));
    }
    let finished: FinishedTranscript =
        serde_json::from_slice(body).map_err(|_not_json| corrupt("its transcript is not readable"))?;
    if Staging::name_of(&finished.recording.id, &finished.fingerprint) != name {
        return Err(corrupt("its name is that of another transcript"));
    }
    Ok(finished)
}

fn to_bytes(finished: &FinishedTranscript) -> io::Result<Vec<u8>> {
    if !is_finite(finished) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a number in the transcript is not finite"));
    }
    let body = serde_json::to_vec(finished)?;
    let header = Header { format: FORMAT, sha256: hex::encode(Sha256::digest(&body)) };
    let mut file = serde_json::to_vec(&header)?;
    file.push(b'\n');
    file.extend_from_slice(&body);
    Ok(file)
}

/// JSON has no infinities: what is not finite would come back as something else or not at all.
fn is_finite(finished: &FinishedTranscript) -> bool {
    let verdict = finished.transcript.language.iter().flat_map(|verdict| [verdict.probability, verdict.margin]);
    let segments = finished.transcript.segments.iter().flat_map(|segment| {
        let scores = [segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio, segment.temperature];
        let words = segment.words.iter().map(|word| word.probability);
        scores.into_iter().flatten().chain(words)
    });
    verdict.chain(segments).all(f64::is_finite)
}

fn create_private_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    durable::sync_parent(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::sample::{finished, segment};

    fn opened() -> (tempfile::TempDir, Staging) {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path().join("staged")).unwrap();
        (folder, staging)
    }

    #[test]
    fn a_transcript_comes_back_bit_for_bit() {
        let (_folder, staging) = opened();
        let mut call = finished("aa");
        call.transcript.segments.push(segment(2_000, 3_000, "もしもし 🎧 \u{0} \"\\\n"));
        // Shortest decimal forms that a careless parser misses by one bit.
        call.transcript.segments[0].avg_logprob = Some(f64::from(-0.123_456_79_f32));
        call.transcript.segments[1].no_speech_prob = Some(8.533_711_3e-17);
        call.transcript.segments[1].compression_ratio = Some(f64::MIN_POSITIVE);
        let staged = staging.put(&call).unwrap();
        assert_eq!(staging.load(&staged).unwrap(), call);
        assert_eq!(staging.find(&call.recording.id, &call.fingerprint).unwrap(), Some(staged.clone()));
        assert_eq!(staging.list().unwrap(), [staged]);
    }

    #[test]
    fn the_first_result_of_a_fingerprint_is_kept() {
        let (_folder, staging) = opened();
        let first = finished("aa");
        let mut second = first.clone();
        second.attempt = 2;
        let staged = staging.put(&first).unwrap();
        assert_eq!(staging.put(&second).unwrap(), staged);
        assert_eq!(staging.load(&staged).unwrap(), first);
    }

    #[test]
    fn a_damaged_file_is_noticed_wherever_the_damage_is_and_replaced_by_the_next_put() {
        let (_folder, staging) = opened();
        let call = finished("aa");
        let staged = staging.put(&call).unwrap();
        let path = staging.folder.join(staged.name());
        let sound = fs::read(&path).unwrap();
        for position in (0..sound.len()).step_by(7) {
            let mut damaged = sound.clone();
            damaged[position] ^= 0x04;
            fs::write(&path, damaged).unwrap();
            let error = staging.load(&staged).unwrap_err();
            assert!(
                matches!(error, StagingError::Corrupt { .. } | StagingError::Newer { .. }),
                "{position}: {error:?}"
            );
        }
        for length in [0, 1, 20, sound.len() / 2, sound.len() - 1] {
            fs::write(&path, &sound[..length]).unwrap();
            assert!(matches!(staging.load(&staged), Err(StagingError::Corrupt { .. })), "{length}");
        }
        assert_eq!(staging.load(&staging.put(&call).unwrap()).unwrap(), call);
    }

    #[test]
    fn a_file_under_the_name_of_another_transcript_is_refused() {
        let (_folder, staging) = opened();
        let one = staging.put(&finished("aa")).unwrap();
        let other = staging.put(&finished("bb")).unwrap();
        fs::copy(staging.folder.join(one.name()), staging.folder.join(other.name())).unwrap();
        assert!(matches!(staging.load(&other), Err(StagingError::Corrupt { .. })));
    }

    #[test]
    fn a_reference_cannot_lead_out_of_the_folder() {
        let (folder, staging) = opened();
        fs::write(folder.path().join("outside"), "{}").unwrap();
        let staged = StagedRef { name: "../outside".into(), bytes: 2 };
        assert!(matches!(staging.load(&staged), Err(StagingError::Corrupt { .. })));
    }

    #[test]
    fn a_newer_format_is_told_apart_from_damage() {
        let (_folder, staging) = opened();
        let staged = staging.put(&finished("aa")).unwrap();
        fs::write(staging.folder.join(staged.name()), "{\"format\":2,\"sha256\":\"\"}\n").unwrap();
        assert!(matches!(staging.load(&staged), Err(StagingError::Newer { format: 2, .. })));
    }

    #[test]
    fn opening_removes_what_an_interrupted_put_left_long_ago_and_nothing_else() {
        let (folder, staging) = opened();
        let staged = staging.put(&finished("aa")).unwrap();
        let abandoned = fs::File::create(staging.folder.join(format!("{}.0123.tmp", staged.name()))).unwrap();
        abandoned.set_modified(std::time::SystemTime::now() - STALE).unwrap();
        let in_work = format!("{}.4567.tmp", staged.name());
        fs::write(staging.folder.join(&in_work), "half, by another process").unwrap();
        fs::write(staging.folder.join("notes.txt"), "mine").unwrap();
        let staging = Staging::open(folder.path().join("staged")).unwrap();
        assert_eq!(staging.names().unwrap(), [staged.name(), &in_work, "notes.txt"]);
        assert_eq!(staging.list().unwrap(), [staged]);
    }

    #[test]
    fn removing_twice_is_no_error_and_a_removed_one_is_missing() {
        let (_folder, staging) = opened();
        let staged = staging.put(&finished("aa")).unwrap();
        staging.remove(&staged).unwrap();
        staging.remove(&staged).unwrap();
        assert!(matches!(staging.load(&staged), Err(StagingError::Missing { .. })));
    }

    #[test]
    fn the_longest_hostile_id_still_has_a_file_name_of_its_own() {
        let (_folder, staging) = opened();
        let one = staging.put(&finished(&format!("{}1", "/".repeat(127)))).unwrap();
        let other = staging.put(&finished(&format!("{}2", "/".repeat(127)))).unwrap();
        assert_ne!(one, other);
        assert_eq!(staging.list().unwrap().len(), 2);
    }

    #[test]
    fn a_number_that_json_cannot_hold_is_refused_before_anything_is_written() {
        let (_folder, staging) = opened();
        let mut call = finished("aa");
        call.transcript.segments[0].words[0].probability = f64::NAN;
        assert_eq!(staging.put(&call).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(staging.list().unwrap().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, staging) = opened();
        let staged = staging.put(&finished("aa")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&staging.folder), 0o700);
        assert_eq!(mode(&staging.folder.join(staged.name())), 0o600);
    }
}
