//! The object store behind a bucket.

use std::net::IpAddr;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use url::{Host, Url};

use crate::fault::{self, service_error};
use crate::{BucketConfig, Error, GcpCredentials, Provider, Result};

/// A store that does not answer a connection attempt within this time is tried again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// So much of an error response is read.
const MAX_ERROR_BODY_BYTES: usize = 16 * 1024;

/// A store, and the same store where it can upload an object in numbered parts. A folder cannot.
pub(crate) struct Store {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) parts: Option<Arc<dyn MultipartStore>>,
}

impl Store {
    fn remote<T: ObjectStore + MultipartStore>(store: T) -> Self {
        let store = Arc::new(store);
        Self {
            objects: store.clone(),
            parts: Some(store),
        }
    }
}

/// Makes the client. No request is sent. With `make`, a folder that is missing is made.
pub(crate) fn build(config: &BucketConfig, make: bool) -> Result<Store> {
    // Fails when there is one already, which is as good.
    backstay_tls::install_provider();
    let connector = Connector {
        source: config.source_address,
        allow_http: allow_http(config),
    };
    match &config.provider {
        Provider::Azure {
            account,
            key,
            endpoint_base,
        } => {
            let mut builder = MicrosoftAzureBuilder::new()
                .with_account(account)
                .with_access_key(key.expose())
                .with_container_name(&config.container)
                .with_client_options(options(config))
                .with_retry(no_retries())
                .with_http_connector(connector.clone());
            if let Some(base) = endpoint_base {
                builder = builder.with_endpoint(azure_endpoint(base, account));
            }
            let built = builder.build().map(Store::remote);
            built.map_err(|_| unusable_credential(config, "a storage account's key, in base64"))
        }
        Provider::S3 {
            region,
            credentials,
            endpoint_base,
        } => {
            let mut builder = match credentials {
                Some(key) => AmazonS3Builder::new()
                    .with_access_key_id(&key.access_key_id)
                    .with_secret_access_key(key.secret_access_key.expose()),
                // The variables by which EKS and ECS hand out roles.
                None => AmazonS3Builder::from_env(),
            }
            .with_region(region)
            .with_bucket_name(&config.container)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            // Amazon's own service deletes in batches; not all that speak its protocol do.
            .with_disable_bulk_delete(endpoint_base.is_some())
            .with_client_options(options(config))
            .with_retry(no_retries())
            .with_http_connector(connector.clone());
            if let Some(base) = endpoint_base {
                builder = builder.with_endpoint(base);
            }
            let built = builder.build().map(Store::remote);
            built.map_err(|_| unusable_credential(config, "an S3 access key"))
        }
        Provider::Gcp {
            credentials,
            endpoint_base,
        } => {
            let mut builder = GoogleCloudStorageBuilder::new()
                .with_bucket_name(&config.container)
                .with_client_options(options(config))
                .with_retry(no_retries())
                .with_http_connector(connector.clone());
            builder = match credentials {
                GcpCredentials::ServiceAccountFile(path) => {
                    builder.with_service_account_path(path.to_string_lossy())
                }
                GcpCredentials::ServiceAccountKey(key) => {
                    builder.with_service_account_key(key.expose())
                }
                GcpCredentials::WorkloadIdentity => builder,
            };
            if let Some(base) = endpoint_base {
                builder = builder.with_base_url(base);
            }
            let built = builder.build().map(Store::remote);
            built.map_err(|_| unusable_credential(config, "a service account's key file"))
        }
        Provider::Local { path } => local(config, path, make),
    }
}

/// The builder's own error is not passed on: it may quote what it could not parse.
fn unusable_credential(config: &BucketConfig, what: &str) -> Error {
    Error::Config {
        variable: config.what_to_correct(config.credential_variable()),
        problem: format!("it does not hold {what}; copy it again from where it was issued"),
    }
}

fn local(config: &BucketConfig, path: &FilePath, make: bool) -> Result<Store> {
    if make {
        std::fs::create_dir_all(path).map_err(|error| Error::Config {
            variable: config.container_variable(),
            problem: format!("cannot make the folder {}: {error}", path.display()),
        })?;
    } else if !path.is_dir() {
        return Err(fault::no_container(config));
    }
    let store = LocalFileSystem::new_with_prefix(path).map_err(|error| Error::Config {
        variable: config.container_variable(),
        problem: format!("cannot use the folder {}: {error}", path.display()),
    })?;
    Ok(Store {
        // Acknowledged means durable: the file and its directory entry are on the disk.
        objects: Arc::new(store.with_fsync(true)),
        parts: None,
    })
}

/// Azure's public and private endpoints name the account in the host. Azurite, reached by an
/// address or as `localhost`, has it in the path; it is added if it is missing there.
fn azure_endpoint(base: &str, account: &str) -> String {
    let in_path = Url::parse(base).is_ok_and(|url| {
        let by_address = match url.host() {
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        by_address && url.path().trim_matches('/').is_empty()
    });
    if in_path {
        format!("{}/{account}", base.trim_end_matches('/'))
    } else {
        base.to_owned()
    }
}

fn options(config: &BucketConfig) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(allow_http(config))
        .with_connect_timeout(CONNECT_TIMEOUT)
        // `retry` has the time limits, which depend on the size of what is moved.
        .with_timeout_disabled()
}

fn allow_http(config: &BucketConfig) -> bool {
    config.endpoint().starts_with("http://")
}

fn no_retries() -> RetryConfig {
    RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    }
}

/// Makes clients whose refusals are [`ServiceError`]s.
///
/// The object store client keeps a response's status and body only in a type that it does not
/// export; this is the place where both can be had without parsing its error texts.
#[derive(Clone, Debug)]
struct Connector {
    source: Option<IpAddr>,
    allow_http: bool,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = match self.source {
            None => ReqwestConnector::default().connect(options)?,
            Some(source) => HttpClient::new(from_address(source, self.allow_http)?),
        };
        Ok(HttpClient::new(Refusals(inner)))
    }
}

/// The object store client has no option for it; what it would set besides is set in [`options`],
/// and again here.
fn from_address(source: IpAddr, allow_http: bool) -> object_store::Result<reqwest::Client> {
    reqwest::Client::builder()
        .local_address(source)
        .connect_timeout(CONNECT_TIMEOUT)
        // A size is what `Content-Length` says, which unpacking would hide.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .https_only(!allow_http)
        .build()
        .map_err(|error| object_store::Error::Generic {
            store: "HTTP client",
            source: Box::new(error),
        })
}

#[derive(Debug)]
struct Refusals(HttpClient);

#[async_trait]
impl HttpService for Refusals {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = self.0.execute(request).await?;
        let status = response.status();
        if !(status.is_client_error() || status.is_server_error()) {
            return Ok(response);
        }
        let header = response
            .headers()
            .get("x-ms-error-code")
            .and_then(|code| code.to_str().ok())
            .map(str::to_owned);
        let mut body = Vec::new();
        let mut pieces = response.into_body().bytes_stream();
        // A body that breaks off is no reason to forget the status.
        while let Ok(Some(piece)) = pieces.try_next().await {
            body.extend_from_slice(&piece);
            if body.len() > MAX_ERROR_BODY_BYTES {
                break;
            }
        }
        let error = service_error(status.as_u16(), header, &String::from_utf8_lossy(&body));
        // `Unknown` is never repeated by the client itself.
        Err(HttpError::new(HttpErrorKind::Unknown, error))
    }
}

#[cfg(test)]
mod tests;
