//! A lake in a bucket of Google Cloud Storage. Built, and never tried against the service itself.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::gcp::GoogleCloudStorageBuilder;

use super::below;
use super::multipart::Parts;
use crate::config::BucketConfig;
use crate::lake::error::LakeError;

/// The store below the prefix, and its way to take parts. Who we are is found where Google's own tools look:
/// `GOOGLE_SERVICE_ACCOUNT`, `GOOGLE_APPLICATION_CREDENTIALS`, the machine.
pub(super) fn open(bucket: &BucketConfig) -> Result<(Arc<dyn ObjectStore>, Parts), LakeError> {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(&bucket.name);
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_base_url(endpoint.as_str().trim_end_matches('/'));
    }
    below(bucket, builder.build())
}
