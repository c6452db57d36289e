//! Where the lake's objects are: a folder, or a bucket of S3, of Azure or of Google. The rest of the lake names objects
//! by key and does not know.
//!
//! An object appears under its key whole or not at all, in a folder as in a bucket. What is created or removed in a
//! folder survives a power cut when the call returns.

#[cfg(feature = "azure")]
mod azure;
mod folder;
#[cfg(feature = "gcs")]
mod gcs;
mod multipart;
mod profile;
mod s3;

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use self::multipart::Parts;
use super::error::LakeError;
use super::publish::aside;
use crate::config::{BucketConfig, LakePlace, StoreService};
use crate::failpoint;

/// The objects of one lake. Cheap to clone; clones are the same store.
#[derive(Debug, Clone)]
pub(super) struct Store {
    objects: Arc<dyn ObjectStore>,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Folder(PathBuf),
    /// Its address, `s3://bucket/prefix`.
    Bucket {
        url: String,
        parts: Parts,
    },
}

impl Store {
    /// The store at `place`, ready to be written to: a folder is created where it is missing.
    ///
    /// # Errors
    /// [`LakeError::NotWritable`], [`LakeError::DiskFull`] of a folder; [`LakeError::Credentials`] of a bucket.
    pub(super) async fn open(place: &LakePlace) -> Result<Self, LakeError> {
        match place {
            LakePlace::Folder(root) => {
                let root = root.clone();
                let root = aside(move || folder::prepare(&root).map_err(|source| LakeError::from_io(root, source)));
                Self::in_folder(root.await?)
            }
            LakePlace::Bucket(bucket) => {
                let (objects, parts) = match bucket.service {
                    StoreService::S3 => s3::open(bucket)?,
                    #[cfg(feature = "gcs")]
                    StoreService::Gcs => gcs::open(bucket)?,
                    #[cfg(feature = "azure")]
                    StoreService::Azure => azure::open(bucket)?,
                };
                Ok(Self { objects, place: Place::Bucket { url: bucket.url(), parts } })
            }
        }
    }

    /// The store at `place` to read only; `None` where there is no such folder.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] of a folder; [`LakeError::Credentials`] of a bucket.
    pub(super) async fn open_to_read(place: &LakePlace) -> Result<Option<Self>, LakeError> {
        let LakePlace::Folder(root) = place else { return Self::open(place).await.map(Some) };
        match std::fs::canonicalize(root) {
            Ok(root) => Self::in_folder(root).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LakeError::Unreadable { key: "/".into(), source: Box::new(error) }),
        }
    }

    fn in_folder(root: PathBuf) -> Result<Self, LakeError> {
        Ok(Self { objects: folder::open(&root)?, place: Place::Folder(root) })
    }

    /// Where the lake is, for people and for the SQL of readers: an absolute folder, or `s3://bucket/prefix`.
    pub(super) fn url(&self) -> String {
        match &self.place {
            Place::Folder(root) => root.display().to_string(),
            Place::Bucket { url, .. } => url.clone(),
        }
    }

    /// The folder, where the lake is one.
    pub(super) fn folder(&self) -> Option<&FilePath> {
        match &self.place {
            Place::Folder(root) => Some(root),
            Place::Bucket { .. } => None,
        }
    }

    pub(super) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Creates an object unless there is one under this key; says whether it did.
    ///
    /// # Errors
    /// [`LakeError::DiskFull`], [`LakeError::NotWritable`], [`LakeError::Refused`], [`LakeError::Store`].
    pub(super) async fn create(&self, key: &str, bytes: Bytes) -> Result<bool, LakeError> {
        let path = self.path(key)?;
        if let Place::Bucket { parts, .. } = &self.place
            && Parts::are_for(bytes.len())
        {
            // Its key follows from what is in it: who puts it twice puts the same.
            if self.objects.head(&path).await.is_ok() {
                return Ok(false);
            }
            return parts
                .put(&self.objects, &path, &bytes)
                .await
                .map(|()| true)
                .map_err(|error| self.failed(key, error));
        }
        let created = match self.objects.put_opts(&path, bytes.into(), PutOptions::from(PutMode::Create)).await {
            Ok(_) => true,
            Err(object_store::Error::AlreadyExists { .. }) => false,
            // One that is there is there, whoever put it and whatever became of this put.
            Err(_) if self.objects.head(&path).await.is_ok() => false,
            Err(error) => return Err(self.failed(key, error)),
        };
        self.settle(key).await?;
        Ok(created)
    }

    /// Writes an object in place of the one that may be there.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub(super) async fn replace(&self, key: &str, bytes: Bytes) -> Result<(), LakeError> {
        let path = self.path(key)?;
        self.objects.put(&path, bytes.into()).await.map_err(|error| self.failed(key, error))?;
        self.settle(key).await
    }

    /// The bytes of an object, if there is one.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`].
    pub(super) async fn read(&self, key: &str) -> Result<Option<Bytes>, LakeError> {
        match self.objects.get(&self.path(key)?).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(|error| self.unreadable(key, error))?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.unreadable(key, error)),
        }
    }

    /// Where an object is and how large.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`], also when there is none.
    pub(super) async fn meta(&self, key: &str) -> Result<ObjectMeta, LakeError> {
        self.objects.head(&self.path(key)?).await.map_err(|error| self.unreadable(key, error))
    }

    /// Removes an object, if there is one.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub(super) async fn remove(&self, key: &str) -> Result<(), LakeError> {
        self.remove_all(&[key.to_owned()]).await
    }

    /// Removes those of these objects of one folder that are there. In a bucket they go a thousand in a request where it
    /// can do that.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub(super) async fn remove_all(&self, keys: &[String]) -> Result<(), LakeError> {
        let Some(last) = keys.last() else { return Ok(()) };
        let paths = keys.iter().map(|key| self.path(key)).collect::<Result<Vec<_>, _>>()?;
        let paths = futures::stream::iter(paths.into_iter().map(Ok)).boxed();
        let mut removed = self.objects.delete_stream(paths);
        while let Some(removed) = removed.next().await {
            match removed {
                Ok(_) => failpoint::pass("object-removed"),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed(last, error)),
            }
        }
        self.settle(last).await
    }

    /// All objects below a folder of the lake, in the order of their keys.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`].
    pub(super) async fn list(&self, below: &str) -> Result<Vec<ObjectMeta>, LakeError> {
        let prefix = self.path(below)?;
        let listed = self.objects.list(Some(&prefix)).try_collect().await;
        let mut objects: Vec<ObjectMeta> = listed.map_err(|error| self.unreadable(below, error))?;
        objects.sort_by(|one, other| one.location.cmp(&other.location));
        Ok(objects)
    }

    /// Whether there is an object below a folder of the lake whose key ends like this.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`].
    pub(super) async fn holds_any(&self, below: &str, ending: &str) -> Result<bool, LakeError> {
        let unreadable = |error| LakeError::Unreadable { key: below.to_owned(), source: Box::new(error) };
        let prefix = self.path(below)?;
        let mut objects = self.objects.list(Some(&prefix));
        while let Some(object) = objects.try_next().await.map_err(unreadable)? {
            if object.location.as_ref().ends_with(ending) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The names of the folders in a folder of the lake.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`].
    pub(super) async fn folders(&self, inside: &str) -> Result<Vec<String>, LakeError> {
        let listed = self.objects.list_with_delimiter(Some(&self.path(inside)?)).await;
        let listed = listed.map_err(|error| self.unreadable(inside, error))?;
        Ok(listed.common_prefixes.iter().filter_map(Path::filename).map(str::to_owned).collect())
    }

    /// Removes what interrupted puts left in these folders of the lake; returns how much.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub(super) async fn remove_unfinished(&self, folders: &[&str]) -> Result<usize, LakeError> {
        match &self.place {
            Place::Folder(root) => {
                let (root, folders) = (root.clone(), folders.iter().map(|name| root.join(name)).collect::<Vec<_>>());
                let remove = move || {
                    folders.iter().map(|folder| folder::remove_unfinished(folder)).sum::<std::io::Result<usize>>()
                };
                aside(move || remove().map_err(|source| LakeError::from_io(root, source))).await
            }
            Place::Bucket { parts, .. } => {
                parts.give_up_all(&self.objects).await.map_err(|error| self.failed("_uploads", error))
            }
        }
    }

    async fn settle(&self, key: &str) -> Result<(), LakeError> {
        let Place::Folder(root) = &self.place else { return Ok(()) };
        let (root, file) = (root.clone(), root.join(key));
        aside(move || folder::settle(&root, &file).map_err(|source| LakeError::from_io(root, source))).await
    }

    fn path(&self, key: &str) -> Result<Path, LakeError> {
        Path::parse(key).map_err(|error| self.failed(key, error.into()))
    }

    /// Why a write was not done: a full disk and a refused write are told apart from everything else.
    fn failed(&self, key: &str, error: object_store::Error) -> LakeError {
        match &self.place {
            Place::Folder(root) => LakeError::from_put(root.clone(), key, error),
            Place::Bucket { url, .. } if is_refusal(&error) => {
                LakeError::Refused { url: url.clone(), source: Box::new(error) }
            }
            Place::Bucket { .. } => LakeError::Store { key: key.to_owned(), source: Box::new(error) },
        }
    }

    /// Why something was not read.
    fn unreadable(&self, key: &str, error: object_store::Error) -> LakeError {
        match &self.place {
            Place::Bucket { url, .. } if is_refusal(&error) => {
                LakeError::Refused { url: url.clone(), source: Box::new(error) }
            }
            _ => LakeError::Unreadable { key: key.to_owned(), source: Box::new(error) },
        }
    }
}

/// Whether the store knows who we are, or thinks so, and says no.
const fn is_refusal(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. })
}

/// What was built, below the prefix of the bucket, and its way to take parts.
fn below(
    bucket: &BucketConfig,
    built: object_store::Result<impl ObjectStore + MultipartStore>,
) -> Result<(Arc<dyn ObjectStore>, Parts), LakeError> {
    let store = Arc::new(built.map_err(|error| LakeError::unusable(bucket, &error))?);
    let prefix = Path::parse(&bucket.prefix).map_err(|error| LakeError::unusable(bucket, &error))?;
    let parts = Parts::new(Arc::clone(&store) as Arc<dyn MultipartStore>, prefix.clone());
    let objects: Arc<dyn ObjectStore> = if prefix.as_ref().is_empty() {
        store
    } else {
        Arc::new(PrefixStore::new(store as Arc<dyn ObjectStore>, prefix))
    };
    Ok((objects, parts))
}
