//! The signed-in user's refresh token on this machine's disk.
//!
//! Zoom replaces the refresh token at every renewal and the old one dies with it, so the new one must be durable before
//! anything else happens, and two processes must never spend the same one:
//!
//! * `<state_dir>/zoom-user.lock` is locked from before the token is read until after the next one is stored.
//! * The file that will hold the next token is made, filled and synced before the renewal is asked for: a full disk
//!   stops the renewal, not the storing.
//! * The next token is written into that file, synced, and renamed to `zoom-user.json`. When a process dies between
//!   the two, whoever takes the lock next finds the complete file and finishes the rename.
//!
//! All of it is the owner's alone (0600, in a folder of 0700).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

const FORMAT: u32 = 1;
const FILE: &str = "zoom-user.json";
const UNFINISHED: &str = "zoom-user.json.tmp";
const LOCK: &str = "zoom-user.lock";
/// What is set aside for the next token; Zoom's are some hundred bytes long.
const RESERVED_BYTES: usize = 16 * 1024;

/// Why the stored sign-in cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    #[error("the sign-in at {} cannot be read or written", path.display())]
    Disk {
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("{} is not a sign-in that this version understands: run `transcribe auth login`", path.display())]
    Damaged { path: PathBuf },
    #[error("another process has held {} for too long", path.display())]
    Busy { path: PathBuf },
}

impl StoreError {
    fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { path: path.to_owned(), source: Arc::new(source) }
    }

    /// Whether there is merely no room left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let full =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        matches!(self, Self::Disk { source, .. } if full(source))
    }
}

/// A user's sign-in as it is kept.
#[derive(Debug, Clone)]
pub struct SignIn {
    pub refresh_token: SecretString,
    /// When Zoom issued it.
    pub renewed_at: Timestamp,
    /// SHA-256 of the `ZOOM_REFRESH_TOKEN` that was last taken up, lower-case hex: the same one is not taken up again.
    pub environment_sha256: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    refresh_token: String,
    renewed_at: Timestamp,
    environment_sha256: Option<String>,
}

impl SignIn {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let written: Written = serde_json::from_slice(bytes).ok()?;
        (written.format == FORMAT && !written.refresh_token.is_empty()).then(|| Self {
            refresh_token: written.refresh_token.into(),
            renewed_at: written.renewed_at,
            environment_sha256: written.environment_sha256,
        })
    }

    fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let written = Written {
            format: FORMAT,
            refresh_token: self.refresh_token.expose_secret().to_owned(),
            renewed_at: self.renewed_at,
            environment_sha256: self.environment_sha256.clone(),
        };
        Ok(serde_json::to_vec(&written)?)
    }
}

/// Where the sign-in of one state folder is kept. Cheap to clone.
#[derive(Debug, Clone)]
pub struct UserStore {
    folder: PathBuf,
}

impl UserStore {
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { folder: state_dir.to_owned() }
    }

    /// The file that holds the sign-in.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Whether anything can have been stored yet.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.folder.is_dir()
    }

    /// The sign-in as it is now, for telling about it: it may be replaced at any time.
    ///
    /// # Errors
    /// [`StoreError`] when there is one and it cannot be read.
    pub fn read(&self) -> Result<Option<SignIn>, StoreError> {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::disk(&path)(error)),
        };
        SignIn::parse(&bytes).map(Some).ok_or(StoreError::Damaged { path })
    }

    /// Waits, at most for `within`, until no other process renews; makes the folder where it is missing.
    ///
    /// # Errors
    /// [`StoreError::Busy`] after that time; [`StoreError::Disk`] when the folder cannot be used.
    pub async fn lock(&self, within: Duration) -> Result<LockedStore, StoreError> {
        let store = self.clone();
        // A wait that nobody waits for any more ends with the lock taken and given back at once.
        let waiting = tokio::task::spawn_blocking(move || store.lock_blocking());
        match tokio::time::timeout(within, waiting).await {
            Ok(locked) => locked.map_err(|error| StoreError::disk(&self.folder)(io::Error::other(error)))?,
            Err(_elapsed) => Err(StoreError::Busy { path: self.folder.join(LOCK) }),
        }
    }

    fn lock_blocking(self) -> Result<LockedStore, StoreError> {
        let disk = StoreError::disk(&self.folder);
        let take = || {
            fs::create_dir_all(&self.folder)?;
            fs::set_permissions(&self.folder, PermissionsExt::from_mode(0o700))?;
            let options = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).clone();
            let file = options.open(self.folder.join(LOCK))?;
            file.lock()?;
            Ok(file)
        };
        let lock = take().map_err(disk)?;
        let locked = LockedStore { store: self, _lock: lock };
        locked.finish_rename()?;
        Ok(locked)
    }
}

/// The store while no other process can renew. Dropping it frees the lock.
#[derive(Debug)]
pub struct LockedStore {
    store: UserStore,
    _lock: File,
}

impl LockedStore {
    /// As [`UserStore::read`]; nobody else replaces it while the lock is held.
    ///
    /// # Errors
    /// As [`UserStore::read`].
    pub fn read(&self) -> Result<Option<SignIn>, StoreError> {
        self.store.read()
    }

    /// Makes the file for the next sign-in and proves that it can be written.
    ///
    /// # Errors
    /// [`StoreError::Disk`] when it cannot.
    pub fn draft(&self) -> Result<Draft, StoreError> {
        let path = self.store.folder.join(UNFINISHED);
        let make = || {
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
            file.write_all(&[b' '; RESERVED_BYTES]).and_then(|()| file.sync_all()).inspect_err(|_| discard(&path))?;
            Ok(file)
        };
        let file = make().map_err(StoreError::disk(&path))?;
        Ok(Draft { file, path, target: self.store.path(), is_written: false })
    }

    /// Takes over what a process that died between writing and renaming has left.
    fn finish_rename(&self) -> Result<(), StoreError> {
        let left = self.store.folder.join(UNFINISHED);
        match fs::read(&left) {
            Ok(bytes) if SignIn::parse(&bytes).is_some() => {
                tracing::warn!("taking up a sign-in that a process stored but could not put in its place");
                put_in_place(&left, &self.store.path()).map_err(StoreError::disk(&left))
            }
            Ok(_) => fs::remove_file(&left).map_err(StoreError::disk(&left)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::disk(&left)(error)),
        }
    }
}

/// The file that will hold the next sign-in. Dropping it unused removes it.
#[derive(Debug)]
#[must_use = "a draft holds nothing until it is committed"]
pub struct Draft {
    file: File,
    path: PathBuf,
    target: PathBuf,
    is_written: bool,
}

impl Draft {
    /// Makes `sign_in` the stored one, durably.
    ///
    /// # Errors
    /// [`StoreError::Disk`]; once the bytes are on the disk they stay there for the next holder of the lock.
    pub fn commit(mut self, sign_in: &SignIn) -> Result<(), StoreError> {
        self.write(sign_in).map_err(StoreError::disk(&self.path))?;
        self.is_written = true;
        put_in_place(&self.path, &self.target).map_err(StoreError::disk(&self.target))
    }

    fn write(&mut self, sign_in: &SignIn) -> io::Result<()> {
        let bytes = sign_in.to_bytes()?;
        self.file.rewind()?;
        self.file.write_all(&bytes)?;
        self.file.set_len(u64::try_from(bytes.len()).map_err(io::Error::other)?)?;
        self.file.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_written {
            discard(&self.path);
        }
    }
}

fn put_in_place(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Removes a file that nobody will miss.
fn discard(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(%error, "an unfinished file could not be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign_in(token: &str) -> SignIn {
        let renewed_at = "2026-11-07T23:00:00Z".parse().unwrap();
        SignIn { refresh_token: token.to_owned().into(), renewed_at, environment_sha256: None }
    }

    fn stored(store: &UserStore) -> Option<String> {
        store.read().unwrap().map(|stored| stored.refresh_token.expose_secret().to_owned())
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn store() -> (tempfile::TempDir, UserStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = UserStore::new(&folder.path().join("state"));
        (folder, store)
    }

    #[test]
    fn what_is_committed_is_the_owners_alone_and_leaves_nothing_else() {
        let (_folder, store) = store();
        assert_eq!(stored(&store), None);
        for token in ["first", "second"] {
            let locked = store.clone().lock_blocking().unwrap();
            locked.draft().unwrap().commit(&sign_in(token)).unwrap();
            assert_eq!(stored(&store).as_deref(), Some(token));
        }
        assert_eq!((mode(&store.path()), mode(&store.folder)), (0o600, 0o700));
        assert!(!store.folder.join(UNFINISHED).exists());
        assert!(!format!("{:?}", store.read().unwrap()).contains("second"));
    }

    #[test]
    fn a_draft_that_is_dropped_changes_nothing() {
        let (_folder, store) = store();
        store.clone().lock_blocking().unwrap().draft().unwrap().commit(&sign_in("first")).unwrap();
        let locked = store.clone().lock_blocking().unwrap();
        drop(locked.draft().unwrap());
        assert_eq!(stored(&store).as_deref(), Some("first"));
        assert!(!store.folder.join(UNFINISHED).exists());
    }

    #[test]
    fn a_complete_file_that_was_not_renamed_is_taken_up_and_a_torn_one_is_not() {
        let (_folder, store) = store();
        store.clone().lock_blocking().unwrap().draft().unwrap().commit(&sign_in("first")).unwrap();
        let whole = sign_in("second").to_bytes().unwrap();
        fs::write(store.folder.join(UNFINISHED), &whole[..whole.len() - 5]).unwrap();
        drop(store.clone().lock_blocking().unwrap());
        assert_eq!(stored(&store).as_deref(), Some("first"));
        fs::write(store.folder.join(UNFINISHED), &whole).unwrap();
        drop(store.clone().lock_blocking().unwrap());
        assert_eq!(stored(&store).as_deref(), Some("second"));
        assert!(!store.folder.join(UNFINISHED).exists());
    }

    #[test]
    fn a_token_that_cannot_be_put_in_its_place_is_kept_beside_it() {
        let (_folder, store) = store();
        let locked = store.clone().lock_blocking().unwrap();
        let draft = locked.draft().unwrap();
        fs::create_dir(store.path()).unwrap();
        draft.commit(&sign_in("second")).unwrap_err();
        fs::remove_dir(store.path()).unwrap();
        drop(locked);
        drop(store.clone().lock_blocking().unwrap());
        assert_eq!(stored(&store).as_deref(), Some("second"));
    }

    #[test]
    fn a_file_of_another_kind_is_refused_with_what_to_do() {
        let (_folder, store) = store();
        fs::create_dir_all(&store.folder).unwrap();
        for bytes in [&b"{}"[..], b"", br#"{"format":2,"refresh_token":"t","renewed_at":"2026-11-07T23:00:00Z"}"#] {
            fs::write(store.path(), bytes).unwrap();
            let error = store.read().unwrap_err();
            assert!(error.to_string().contains("transcribe auth login"), "{error}");
        }
    }

    #[tokio::test]
    async fn one_holder_at_a_time_and_nobody_waits_forever() {
        let (_folder, store) = store();
        let held = store.lock(Duration::from_secs(5)).await.unwrap();
        let busy = store.lock(Duration::from_millis(1)).await.unwrap_err();
        assert!(matches!(busy, StoreError::Busy { .. }));
        drop(held);
        store.lock(Duration::from_secs(5)).await.unwrap();
    }
}
