//! How running processes on one machine know of each other: a random id each, and a lock on a file of that name.
//!
//! The lock is the kernel's, so it goes when the process goes, however it goes. Lock free = process gone. So that no
//! file ever lies under an id without its owner's lock, it is made and locked under another name first.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How the name of a file ends that is not locked yet.
const UNLOCKED: &str = ".new";

/// This process as the queue knows it. Dropping it frees the lock and removes the file.
#[derive(Debug)]
pub struct Instance {
    id: String,
    path: PathBuf,
    _lock: File,
}

impl Instance {
    /// Registers a process under `<state_dir>/instances/`. `id` must be a fresh random word.
    ///
    /// # Errors
    /// When the folder or the file cannot be made or locked.
    pub fn register(state_dir: &Path, id: String) -> io::Result<Self> {
        let folder = folder(state_dir);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let path = folder.join(&id);
        let lock = lock_new(&folder.join(format!("{id}{UNLOCKED}")), &path)?;
        Ok(Self { id, path, _lock: lock })
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Instance {
    /// The file goes when the process ends in order; whoever panics leaves it, as one that is killed does.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "instance file could not be removed");
        }
    }
}

/// Makes a locked file and only then gives it its name.
fn lock_new(unlocked: &Path, path: &Path) -> io::Result<File> {
    loop {
        let lock = OpenOptions::new().create_new(true).write(true).mode(0o600).open(unlocked)?;
        // Waits for a sweep that looks at it right now.
        lock.lock()?;
        match fs::rename(unlocked, path) {
            // The sweep took it for litter, and was right until now: once more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => return renamed.map(|()| lock),
        }
    }
}

/// What became of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Runs,
    /// It was cut short: its file is there and nobody holds it.
    Died,
    /// It removed its own file, or never had one.
    Ended,
}

/// What became of the process that registered as `id`. The file of one that died is removed, so only the first look
/// tells that it did.
#[must_use]
pub fn fate(state_dir: &Path, id: &str) -> Fate {
    fate_of(&folder(state_dir).join(id))
}

/// Whether the process that registered as `id` still runs. An id that was never registered is not alive.
#[must_use]
pub fn is_alive(state_dir: &Path, id: &str) -> bool {
    fate(state_dir, id) == Fate::Runs
}

/// Removes the files of processes that are gone.
///
/// # Errors
/// When the folder cannot be read; a file that cannot be removed stays.
pub fn sweep(state_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder(state_dir))? {
        fate_of(&entry?.path());
    }
    Ok(())
}

/// Whether somebody holds the file's lock; a file that nobody holds is litter and is removed.
fn fate_of(path: &Path) -> Fate {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Fate::Ended,
        Err(error) => {
            tracing::warn!(%error, "instance file cannot be opened; taking its owner for alive");
            return Fate::Runs;
        }
    };
    match file.try_lock_shared() {
        Ok(()) => {
            // Under the lock: nobody can take it for his own meanwhile and keep a file that is gone.
            if let Err(error) = fs::remove_file(path) {
                tracing::debug!(%error, "stale instance file could not be removed");
            }
            Fate::Died
        }
        Err(TryLockError::WouldBlock) => Fate::Runs,
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, "instance lock cannot be read; taking its owner for alive");
            Fate::Runs
        }
    }
}

fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("instances")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn names(state_dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder(state_dir)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_instance_is_alive_exactly_while_it_holds_its_lock() {
        let state = tempfile::tempdir().unwrap();
        let instance = Instance::register(state.path(), "a1".into()).unwrap();
        assert_eq!(fate(state.path(), "a1"), Fate::Runs);
        assert_eq!(fate(state.path(), "never-registered"), Fate::Ended);
        drop(instance);
        assert_eq!(fate(state.path(), "a1"), Fate::Ended);
    }

    #[test]
    fn a_file_without_a_lock_belongs_to_nobody_and_is_removed() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder(state.path())).unwrap();
        let litter = folder(state.path()).join("dead");
        fs::write(&litter, "").unwrap();
        assert_eq!(fate(state.path(), "dead"), Fate::Died);
        assert!(!litter.exists());
    }

    #[test]
    fn a_panic_is_no_orderly_end() {
        let state = tempfile::tempdir().unwrap();
        let instance = Instance::register(state.path(), "a1".into()).unwrap();
        let panicked = std::thread::spawn(move || {
            let _instance = instance;
            panic!("as a test of what is left behind");
        });
        assert!(panicked.join().is_err());
        assert_eq!(fate(state.path(), "a1"), Fate::Died);
    }

    #[test]
    fn a_sweep_removes_the_files_of_the_dead_and_leaves_the_living_alone() {
        let state = tempfile::tempdir().unwrap();
        let _instance = Instance::register(state.path(), "a1".into()).unwrap();
        for litter in ["dead", "died-early.new"] {
            fs::write(folder(state.path()).join(litter), "").unwrap();
        }
        let locking = File::create(folder(state.path()).join("b2.new")).unwrap();
        locking.lock().unwrap();
        sweep(state.path()).unwrap();
        assert_eq!(names(state.path()), ["a1", "b2.new"]);
    }

    #[test]
    fn whoever_registers_while_others_sweep_is_alive_all_the_same() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir(folder(state.path())).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        sweep(state.path()).unwrap();
                    }
                });
            }
            let register = |number: u32| Instance::register(state.path(), number.to_string());
            let instances: Vec<_> = (0..200).map(register).collect();
            done.store(true, Ordering::Relaxed);
            for instance in instances {
                assert!(is_alive(state.path(), instance.unwrap().id()));
            }
        });
    }

    #[test]
    fn only_its_owner_can_read_it() {
        let state = tempfile::tempdir().unwrap();
        let _instance = Instance::register(state.path(), "a1".into()).unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder(state.path())), 0o700);
        assert_eq!(mode(folder(state.path()).join("a1")), 0o600);
    }
}
