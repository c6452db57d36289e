//! Word error rate: how many words a transcript has wrong, missing or too much, against a reference text.

use std::error::Error;
use std::fs;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};

use super::error::ModelError;
use crate::domain::words::{edit_distance, words};

/// Transcribes the audio file (second) with the model file (first).
pub type TranscribeSample<'a> = &'a mut dyn FnMut(&Path, &Path) -> Result<String, Box<dyn Error + Send + Sync>>;

/// Errors against the words of the references.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErrorRate {
    /// Substitutions, deletions and insertions.
    pub errors: u64,
    /// Words of the references.
    pub words: u64,
}

impl ErrorRate {
    /// Errors per word of the reference; can exceed 1.
    #[must_use]
    pub fn rate(self) -> f64 {
        if self.words == 0 { 0.0 } else { self.errors as f64 / self.words as f64 }
    }
}

impl AddAssign for ErrorRate {
    fn add_assign(&mut self, other: Self) {
        self.errors += other.errors;
        self.words += other.words;
    }
}

/// The word error rate of `model` over every `<stem>.wav` in `samples` that has a `<stem>.txt` beside it.
///
/// # Errors
/// [`ModelError::NoSamples`] where there is none, [`ModelError::Sample`] where one cannot be transcribed.
pub fn measure(model: &Path, samples: &Path, transcribe: TranscribeSample<'_>) -> Result<ErrorRate, ModelError> {
    let mut total = ErrorRate::default();
    for audio in sample_files(samples)? {
        let reference_path = audio.with_extension("txt");
        let reference = fs::read_to_string(&reference_path).map_err(|source| ModelError::Disk {
            doing: "read",
            path: reference_path,
            source,
        })?;
        let transcript =
            transcribe(model, &audio).map_err(|source| ModelError::Sample { path: audio.clone(), source })?;
        total += compare(&reference, &transcript);
    }
    Ok(total)
}

fn sample_files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let unreadable = |source| ModelError::Disk { doing: "read", path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_wav = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav"));
        if is_wav && path.with_extension("txt").is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(ModelError::NoSamples { path: folder.to_owned() });
    }
    files.sort();
    Ok(files)
}

/// Compares after letter case and punctuation are gone. Chinese, Japanese and Korean characters count as words.
#[must_use]
pub fn compare(reference: &str, transcript: &str) -> ErrorRate {
    let (reference, transcript) = (words(reference), words(transcript));
    ErrorRate { errors: edit_distance(&reference, &transcript), words: reference.len() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(reference: &str, transcript: &str) -> (u64, u64) {
        let rate = compare(reference, transcript);
        (rate.errors, rate.words)
    }

    #[test]
    fn substitutions_deletions_and_insertions_count_one_each() {
        assert_eq!(counts("the cat sat down", "the cat sat down"), (0, 4));
        assert_eq!(counts("the cat sat down", "a cat sat"), (2, 4));
        assert_eq!(counts("the cat", "the big black cat"), (2, 2));
        assert_eq!(counts("", "invented words"), (2, 0));
        assert_eq!(counts("all lost", ""), (2, 2));
    }

    #[test]
    fn case_and_punctuation_do_not_count() {
        assert_eq!(counts("Don't — stop, Mr. Smith!", "dont stop mr smith"), (0, 4));
        assert_eq!(counts("Über Größe", "über größe"), (0, 2));
    }

    #[test]
    fn japanese_is_compared_by_character() {
        assert_eq!(counts("今日は、晴れ", "今日は雨"), (2, 5));
    }

    #[test]
    fn the_distance_is_symmetric_and_at_most_the_longer_text() {
        use rand::rngs::StdRng;
        use rand::{RngExt, SeedableRng};
        let mut random = StdRng::seed_from_u64(6);
        for _ in 0..200 {
            let mut text = || -> String {
                let count = random.random_range(0..12);
                (0..count).map(|_| ["a ", "b ", "c "][random.random_range(0..3_usize)]).collect()
            };
            let (left, right) = (text(), text());
            let forward = compare(&left, &right);
            assert_eq!(forward.errors, compare(&right, &left).errors);
            assert!(forward.errors <= forward.words.max(compare(&right, &left).words));
            assert_eq!(forward.errors == 0, left == right);
        }
    }

    #[test]
    fn samples_are_summed_and_files_without_a_reference_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [("a.wav", ""), ("a.txt", "one two"), ("b.WAV", ""), ("b.txt", "three"), ("c.wav", "")] {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let mut heard = |model: &Path, audio: &Path| {
            assert_eq!(model, Path::new("m.bin"));
            Ok(if audio.ends_with("a.wav") { "one too" } else { "three" }.to_owned())
        };
        let rate = measure(Path::new("m.bin"), folder.path(), &mut heard).unwrap();
        assert_eq!(rate, ErrorRate { errors: 1, words: 3 });
        assert!((rate.rate() - 1.0 / 3.0).abs() < 1e-12);

        let mut failing = |_: &Path, _: &Path| Err("no engine".into());
        assert!(matches!(measure(Path::new("m"), folder.path(), &mut failing), Err(ModelError::Sample { .. })));
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(measure(Path::new("m"), empty.path(), &mut failing), Err(ModelError::NoSamples { .. })));
    }
}
