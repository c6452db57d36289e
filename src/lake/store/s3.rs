//! A lake in a bucket: S3, and what speaks its language.
//!
//! Who we are is found in the usual places, in this order: the environment (keys, or a role with a web identity), the
//! profile of `~/.aws`, and the machine (ECS, EKS, EC2).

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};

use super::below;
use super::multipart::Parts;
use super::profile::{self, Profile};
use crate::config::BucketConfig;
use crate::lake::error::LakeError;

/// The store below the prefix, and its way to take parts.
pub(super) fn open(bucket: &BucketConfig) -> Result<(Arc<dyn ObjectStore>, Parts), LakeError> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&bucket.name)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_allow_http(bucket.endpoint.as_ref().is_some_and(|endpoint| endpoint.scheme() == "http"));
    if let Some(endpoint) = &bucket.endpoint {
        // What is not AWS itself seldom has a host name for each bucket.
        builder = builder.with_endpoint(endpoint.as_str()).with_virtual_hosted_style_request(false);
    }
    if let Some(key) = &bucket.encryption_key {
        builder = builder.with_sse_kms_encryption(key).with_bucket_key(true);
    }
    if !profile::environment_says_who_we_are() {
        builder = match profile::find().map_err(|problem| LakeError::unusable(bucket, &problem))? {
            Some(Profile { region, identity }) => identity.give_to(match region {
                Some(region) => builder.with_region(region),
                None => builder,
            }),
            None => builder,
        };
    }
    if let Some(region) = &bucket.region {
        builder = builder.with_region(region);
    }
    below(bucket, builder.build())
}
