//! `models pull`: downloads a published model, takes up a broken download, and lets nothing appear under the model's name
//! that does not have the published size and checksum.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode, redirect};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;
use url::{Host, Url};

use super::draft::{Digests, create_folder, publish};
use super::error::ModelError;
use super::lock::ModelLock;
use super::manifest::{Manifest, Mismatch, PublishedModel};
use super::name::ModelName;
use super::verify::read_directory;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long no byte may arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const MOST_REDIRECTS: usize = 5;
const LOCK_POLL: Duration = Duration::from_millis(100);

/// How `models pull` was asked to work.
#[derive(Debug, Default)]
pub struct PullOptions {
    /// The address of the folder that holds `ggml-<name>.bin`, instead of the published one.
    pub from: Option<Url>,
    /// Download a model without any known checksum too; its structure is checked instead.
    pub force: bool,
}

/// The result of a download.
#[derive(Debug, PartialEq, Eq)]
pub struct Pulled {
    pub path: PathBuf,
    pub digests: Digests,
    /// False when the model was there already, perhaps because another process has just downloaded it.
    pub downloaded: bool,
}

/// Downloads the model `name` into `models_dir`. `progress` gets the bytes there are and the bytes in all.
///
/// # Errors
/// [`ModelError`]. After a broken transfer the next call goes on where this one stopped.
pub async fn pull(
    models_dir: &Path,
    name: &str,
    manifest: &Manifest,
    options: &PullOptions,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Pulled, ModelError> {
    let name = ModelName::parse(name)?;
    let model =
        manifest.find(name.as_str()).ok_or_else(|| ModelError::NotPublished { name: name.as_str().to_owned() })?;
    if !model.has_checksum() && !options.force {
        return Err(ModelError::NoChecksum { name: model.name.clone() });
    }
    let address = address_of(model, options)?;
    create_folder(models_dir)?;
    let _lock = take_lock(models_dir, name.as_str()).await?;

    let target = name.file_in(models_dir);
    if target.is_file() {
        let digests = digests_of(&target).await?;
        if model.compare(&digests).is_ok() && (model.has_checksum() || digests.bytes == model.bytes) {
            return Ok(Pulled { path: target, digests, downloaded: false });
        }
    }
    let part = models_dir.join(format!("{name}.bin.part"));
    download(&client(&address)?, address, model, &part, progress).await?;
    let digests = digests_of(&part).await?;
    if let Err(Mismatch { algorithm, expected, actual }) = model.compare(&digests) {
        remove(&part).await?;
        return Err(ModelError::WrongDownload { name: model.name.clone(), algorithm, expected, actual });
    }
    if !model.has_checksum()
        && let Err(error) = read_directory(&part)
    {
        remove(&part).await?;
        return Err(error);
    }
    publish(&part, &target)?;
    Ok(Pulled { path: target, digests, downloaded: true })
}

fn address_of(model: &PublishedModel, options: &PullOptions) -> Result<Url, ModelError> {
    let address = match &options.from {
        None => model.source.clone(),
        Some(folder) => {
            let mut address = folder.clone();
            address
                .path_segments_mut()
                .map_err(|()| ModelError::InsecureAddress)?
                .pop_if_empty()
                .push(&format!("ggml-{}.bin", model.name));
            address
        }
    };
    if is_safe(&address, true) { Ok(address) } else { Err(ModelError::InsecureAddress) }
}

/// https anywhere; http on this machine only, and only for who started there.
fn is_safe(address: &Url, may_be_local: bool) -> bool {
    match address.scheme() {
        "https" => true,
        "http" => may_be_local && is_loopback(address),
        _ => false,
    }
}

fn is_loopback(address: &Url) -> bool {
    match address.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a redirect leads to an address that is not https")]
struct InsecureRedirect;

fn client(address: &Url) -> Result<Client, ModelError> {
    let started_local = address.scheme() == "http";
    let policy = redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > MOST_REDIRECTS {
            attempt.error("too many redirects")
        } else if is_safe(attempt.url(), started_local) {
            attempt.follow()
        } else {
            attempt.error(InsecureRedirect)
        }
    });
    // A compressed answer could not be taken up in the middle.
    let client = Client::builder()
        .redirect(policy)
        .no_gzip()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build();
    client.map_err(|source| ModelError::Transfer { name: String::from("the model"), source })
}

/// Fills `part` up to the model's size.
async fn download(
    client: &Client,
    address: Url,
    model: &PublishedModel,
    part: &Path,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<(), ModelError> {
    let broken = |source| ModelError::Disk { doing: "write", path: part.to_owned(), source };
    let mut file = OpenOptions::new().create(true).append(true).open(part).await.map_err(broken)?;
    let mut have = file.metadata().await.map_err(broken)?.len();
    if have >= model.bytes {
        // Complete but never checked, or too long: nothing to go on from.
        have = start_over(&mut file).await.map_err(broken)?;
    }
    let mut response = request(client, &address, have, model).await?;
    if have > 0 && !goes_on_from(&response, have) {
        have = start_over(&mut file).await.map_err(broken)?;
        if response.status() != StatusCode::OK {
            response = request(client, &address, have, model).await?;
        }
    }
    if response.status() != StatusCode::OK && !(have > 0 && response.status() == StatusCode::PARTIAL_CONTENT) {
        return Err(ModelError::Refused { name: model.name.clone(), status: response.status().as_u16() });
    }
    while let Some(chunk) = response.chunk().await.map_err(|error| transfer_error(error, model))? {
        have += chunk.len() as u64;
        if have > model.bytes {
            return wrong_size(part, model, have).await;
        }
        file.write_all(&chunk).await.map_err(broken)?;
        progress(have, model.bytes);
    }
    file.sync_all().await.map_err(broken)?;
    if have < model.bytes {
        return Err(ModelError::Interrupted { name: model.name.clone(), got: have, expected: model.bytes });
    }
    Ok(())
}

async fn start_over(file: &mut File) -> std::io::Result<u64> {
    file.set_len(0).await?;
    Ok(0)
}

async fn request(client: &Client, address: &Url, from: u64, model: &PublishedModel) -> Result<Response, ModelError> {
    let mut request = client.get(address.clone());
    if from > 0 {
        request = request.header(RANGE, format!("bytes={from}-"));
    }
    request.send().await.map_err(|error| transfer_error(error, model))
}

/// Whether the answer starts at byte `have`, as it was asked to.
fn goes_on_from(response: &Response, have: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    response.status() == StatusCode::PARTIAL_CONTENT
        && range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

async fn wrong_size(part: &Path, model: &PublishedModel, got: u64) -> Result<(), ModelError> {
    remove(part).await?;
    Err(ModelError::WrongSize { name: model.name.clone(), got, expected: model.bytes })
}

/// The address is left out: after redirects it may carry a signature.
fn transfer_error(error: reqwest::Error, model: &PublishedModel) -> ModelError {
    if is_caused_by_redirect(&error) {
        return ModelError::InsecureAddress;
    }
    ModelError::Transfer { name: model.name.clone(), source: error.without_url() }
}

fn is_caused_by_redirect(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(current) = cause {
        if current.is::<InsecureRedirect>() {
            return true;
        }
        cause = current.source();
    }
    false
}

async fn take_lock(models_dir: &Path, name: &str) -> Result<ModelLock, ModelError> {
    loop {
        if let Some(lock) = ModelLock::try_take(models_dir, name)? {
            return Ok(lock);
        }
        // Polled, so that an interrupt ends the wait.
        tokio::time::sleep(LOCK_POLL).await;
    }
}

async fn digests_of(path: &Path) -> Result<Digests, ModelError> {
    let owned = path.to_owned();
    let digests = tokio::task::spawn_blocking(move || Digests::of_file(&owned)).await;
    let stopped =
        |error| ModelError::Disk { doing: "read", path: path.to_owned(), source: std::io::Error::other(error) };
    digests.map_err(stopped)?
}

async fn remove(path: &Path) -> Result<(), ModelError> {
    fs::remove_file(path).await.map_err(|source| ModelError::Disk { doing: "remove", path: path.to_owned(), source })
}

#[cfg(test)]
#[path = "pull_tests.rs"]
mod tests;
