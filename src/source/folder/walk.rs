//! Finds the audio files of a folder and the folders below it, in sort order.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const EXTENSIONS: [&str; 4] = ["mp3", "wav", "m4a", "flac"];

/// The extensions and letters of `folder.glob` match in any case; `*` stays within one folder, `**` does not.
const MATCHING: glob::MatchOptions =
    glob::MatchOptions { case_sensitive: false, require_literal_separator: true, require_literal_leading_dot: false };

/// Audio files that match a pattern, folder by folder, sorted by name within each. Hidden entries are skipped; a folder
/// that several links lead to is entered once, so links cannot make the walk endless.
pub(super) struct Walk<'a> {
    root: &'a Path,
    pattern: &'a glob::Pattern,
    /// What is still to be looked at; the next one is last.
    open: Vec<PathBuf>,
    entered: HashSet<PathBuf>,
    unreadable_folders: u64,
}

impl<'a> Walk<'a> {
    /// # Errors
    /// When `root` itself cannot be read.
    pub(super) fn new(root: &'a Path, pattern: &'a glob::Pattern) -> io::Result<Self> {
        let mut walk = Self { root, pattern, open: Vec::new(), entered: HashSet::new(), unreadable_folders: 0 };
        walk.enter(root)?;
        Ok(walk)
    }

    pub(super) fn unreadable_folders(&self) -> u64 {
        self.unreadable_folders
    }

    fn enter(&mut self, folder: &Path) -> io::Result<()> {
        if !self.entered.insert(fs::canonicalize(folder)?) {
            return Ok(());
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                entries.push(entry.path());
            }
        }
        entries.sort_unstable_by(|a, b| b.cmp(a));
        self.open.append(&mut entries);
        Ok(())
    }

    fn is_wanted(&self, path: &Path) -> bool {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let relative = path.strip_prefix(self.root).unwrap_or(path);
        extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
            && self.pattern.matches_with(&relative.to_string_lossy(), MATCHING)
    }
}

impl Iterator for Walk<'_> {
    type Item = PathBuf;

    fn next(&mut self) -> Option<PathBuf> {
        while let Some(path) = self.open.pop() {
            // Follows links; what cannot be looked at may still be an audio file, and its fetch says what is wrong.
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    if let Err(error) = self.enter(&path) {
                        self.unreadable_folders += 1;
                        tracing::warn!(kind = %error.kind(), "a folder below folder.path cannot be read");
                    }
                }
                Ok(metadata) if !metadata.is_file() => {}
                _ if self.is_wanted(&path) => return Some(path),
                _ => {}
            }
        }
        None
    }
}
