//! The client that other nodes are asked with, and whom it trusts.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::{Certificate, Client};

use crate::config::Authority;

/// Longest time for a connection to another node.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest silence of another node.
const PEER_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is looked whether the authorities have changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Why other nodes cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The file cannot be read.
    #[error(
        "{}: the authorities of the other nodes cannot be read: {source}; give a readable file (BACKSTAY_TLS_CA_FILE, or ca.crt beside TLS_TRUSTSTORE_LOCATION)",
        path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is nothing of use in it.
    #[error(
        "{}: not certificates in PEM; give those of the authorities that other nodes' certificates are signed by",
        .0.display()
    )]
    Empty(PathBuf),
    /// The client cannot be made of it.
    #[error(
        "other nodes cannot be asked: {0}; are the authorities of BACKSTAY_TLS_CA_FILE, or ca.crt beside TLS_TRUSTSTORE_LOCATION, certificates?"
    )]
    Client(#[source] reqwest::Error),
}

/// Makes the client at its first use, and again when the authorities have changed.
#[derive(Debug, Default)]
pub(super) struct Clients {
    authority: Option<Authority>,
    made: Mutex<Option<Made>>,
}

#[derive(Debug)]
struct Made {
    client: Client,
    /// The authorities' file as it was then, if it was there.
    pem: Option<Vec<u8>>,
    looked: Instant,
}

impl Clients {
    /// # Errors
    /// When the authorities cannot be used now.
    pub(super) fn new(authority: Option<Authority>) -> Result<Self, AuthorityError> {
        let clients = Self {
            authority,
            made: Mutex::new(None),
        };
        if clients.authority.is_some() {
            trusted(clients.read()?.as_deref(), clients.authority.as_ref())?;
        }
        Ok(clients)
    }

    /// The client. When the authorities have changed and cannot be used, the one before stays.
    ///
    /// # Errors
    /// When there is none before.
    pub(super) fn get(&self) -> Result<Client, AuthorityError> {
        let mut made = self.made.lock();
        let Some(known) = made.as_mut() else {
            let pem = self.read()?;
            let client = self.client(pem.as_deref())?;
            *made = Some(Made {
                client: client.clone(),
                pem,
                looked: Instant::now(),
            });
            return Ok(client);
        };
        if self.authority.is_none() || known.looked.elapsed() < LOOK_INTERVAL {
            return Ok(known.client.clone());
        }
        known.looked = Instant::now();
        if let Err(error) = self.renew(known) {
            tracing::warn!(%error, "the authorities of other nodes have changed; those before stay in use");
        }
        Ok(known.client.clone())
    }

    fn renew(&self, known: &mut Made) -> Result<(), AuthorityError> {
        let pem = self.read()?;
        if pem == known.pem {
            return Ok(());
        }
        known.client = self.client(pem.as_deref())?;
        known.pem = pem;
        tracing::info!("the authorities of other nodes were read again");
        Ok(())
    }

    /// The authorities' file, if there is to be one.
    fn read(&self) -> Result<Option<Vec<u8>>, AuthorityError> {
        let Some(authority) = &self.authority else {
            return Ok(None);
        };
        match std::fs::read(&authority.file) {
            Ok(pem) => Ok(Some(pem)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !authority.is_required => {
                Ok(None)
            }
            Err(source) => Err(AuthorityError::File {
                path: authority.file.clone(),
                source,
            }),
        }
    }

    fn client(&self, pem: Option<&[u8]>) -> Result<Client, AuthorityError> {
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(PEER_IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(authorities) = trusted(pem, self.authority.as_ref())? {
            // Nobody else vouches for a node of this cluster.
            builder = builder.tls_certs_only(authorities);
        }
        builder.build().map_err(AuthorityError::Client)
    }
}

fn trusted(
    pem: Option<&[u8]>,
    authority: Option<&Authority>,
) -> Result<Option<Vec<Certificate>>, AuthorityError> {
    let (Some(pem), Some(authority)) = (pem, authority) else {
        return Ok(None);
    };
    let certificates = Certificate::from_pem_bundle(pem).unwrap_or_default();
    if certificates.is_empty() {
        return Err(AuthorityError::Empty(authority.file.clone()));
    }
    Ok(Some(certificates))
}
