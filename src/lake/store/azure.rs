//! A lake in a container of Azure Blob Storage.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::azure::MicrosoftAzureBuilder;

use super::below;
use super::multipart::Parts;
use crate::config::BucketConfig;
use crate::lake::error::LakeError;

/// The store below the prefix, and its way to take parts. Who we are is found in the environment
/// (`AZURE_STORAGE_ACCOUNT_NAME` with a key, a token or a federated identity) or on the machine.
pub(super) fn open(bucket: &BucketConfig) -> Result<(Arc<dyn ObjectStore>, Parts), LakeError> {
    let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(&bucket.name);
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_endpoint(endpoint.to_string()).with_allow_http(endpoint.scheme() == "http");
    }
    below(bucket, builder.build())
}
