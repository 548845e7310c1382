//! Where a lab keeps its logs: in Azurite, so that the nodes speak Blob as they do in Azure, or in
//! folders where there is none.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use backstay_pair::Side;
use rand::RngExt as _;

use super::keys::Keys;
use crate::child::ChildSpec;
use crate::place::Place;
use crate::region::{Azurite, AzuriteError};

/// What Azurite is called where npm installs it.
const PROGRAM: &str = "azurite-blob";

/// What a lab is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// An Azurite of its own where one is installed, else folders.
    #[default]
    Any,
    /// Buckets are folders on disk: no wire to them can be cut.
    Folder,
    /// The blob service of an Azurite that runs, by its URL.
    Azurite(String),
}

/// Where a lab keeps its logs. What is in its folder afterwards, so that it finds them again.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// A folder for each region.
    Folder,
    /// A container for each region.
    Azurite(Blobs),
}

/// Two containers in an Azurite.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Blobs {
    /// The address of the blob service.
    address: SocketAddr,
    /// The program, where the lab runs it itself.
    program: Option<PathBuf>,
    /// In front of the containers' names.
    prefix: String,
}

impl Store {
    /// What is wanted, as far as it is there.
    ///
    /// # Errors
    /// When the URL of a running Azurite is none that can be relayed to.
    pub async fn choose(wanted: &Wanted, place: &Place) -> Result<Self, AzuriteError> {
        match wanted {
            Wanted::Folder => Ok(Self::Folder),
            Wanted::Any => Ok(match found(PROGRAM) {
                Some(program) => Self::Azurite(Blobs {
                    address: place.azurite(),
                    program: Some(program),
                    prefix: String::new(),
                }),
                None => Self::Folder,
            }),
            Wanted::Azurite(url) => {
                let wrong = |problem: &str| AzuriteError::Url {
                    url: url.clone(),
                    problem: problem.to_owned(),
                };
                Azurite::new(url)?;
                let parsed: url::Url = url.parse().map_err(|_| wrong("it is not a valid URL"))?;
                if parsed.scheme() != "http" {
                    return Err(wrong("a lab's fault proxies pass on http:// only"));
                }
                let host = parsed.host_str().unwrap_or_default().to_owned();
                let port = parsed.port_or_known_default().unwrap_or(80);
                let mut found = tokio::net::lookup_host((host, port))
                    .await
                    .map_err(|error| wrong(&error.to_string()))?;
                let run: u32 = rand::rng().random();
                Ok(Self::Azurite(Blobs {
                    address: found.next().ok_or_else(|| wrong("it has no address"))?,
                    program: None,
                    prefix: format!("backstay-{run:08x}-"),
                }))
            }
        }
    }

    /// `azurite` or `folder`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Azurite(_) => "azurite",
        }
    }
}

impl Blobs {
    /// Where the blob service is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The storage account of a region. In an Azurite that others use too it is the one that each
    /// has.
    pub fn account(&self, side: Side) -> String {
        match self.program {
            Some(_) => format!("lab{side}acct"),
            None => "devstoreaccount1".to_owned(),
        }
    }

    /// The container of a region.
    pub fn container(&self, side: Side) -> String {
        format!("{}{side}logs", self.prefix)
    }

    /// The account's key.
    ///
    /// # Errors
    /// When the address makes no URL.
    pub fn account_key(&self, keys: &Keys, side: Side) -> Result<String, AzuriteError> {
        Ok(self.azurite(keys, side)?.key().to_owned())
    }

    fn azurite(&self, keys: &Keys, side: Side) -> Result<Azurite, AzuriteError> {
        let url = format!("http://{}", self.address);
        match self.program {
            Some(_) => Azurite::with_account(&url, &self.account(side), keys.account(side)),
            None => Azurite::new(&url),
        }
    }

    /// Makes the containers, if they are not there yet.
    ///
    /// # Errors
    /// When Azurite refuses.
    pub async fn make_containers(&self, keys: &Keys) -> Result<(), AzuriteError> {
        for side in Side::BOTH {
            let made = self.azurite(keys, side)?;
            match made.create_container(&self.container(side)).await {
                Err(AzuriteError::Refused { status: 409, .. }) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes the containers from an Azurite that stays.
    ///
    /// # Errors
    /// When Azurite refuses.
    pub async fn remove_containers(&self, keys: &Keys) -> Result<(), AzuriteError> {
        if self.program.is_some() {
            return Ok(());
        }
        for side in Side::BOTH {
            let azurite = self.azurite(keys, side)?;
            azurite.delete_container(&self.container(side)).await?;
        }
        Ok(())
    }

    /// The process that the lab runs, where it runs one. Azurite does not know that it should end
    /// with its parent: `watchdog` is the command that sees to it.
    pub fn process(&self, keys: &Keys, place: &Place, watchdog: &Path) -> Option<ChildSpec> {
        let program = self.program.as_ref()?;
        let accounts =
            Side::BOTH.map(|side| format!("{}:{}", self.account(side), keys.account(side)));
        let mut arguments: Vec<std::ffi::OsString> =
            ["lab", "watchdog", "--"].map(Into::into).to_vec();
        arguments.push(program.into());
        arguments.push("--blobHost".into());
        arguments.push(self.address.ip().to_string().into());
        arguments.push("--blobPort".into());
        arguments.push(self.address.port().to_string().into());
        arguments.push("--location".into());
        arguments.push(place.folder.join("azurite").into());
        for flag in ["--silent", "--disableTelemetry", "--skipApiVersionCheck"] {
            arguments.push(flag.into());
        }
        Some(ChildSpec {
            program: watchdog.to_owned(),
            arguments,
            environment: [("AZURITE_ACCOUNTS".to_owned(), accounts.join(";"))].into(),
            log: place.logs().join("azurite.log"),
        })
    }
}

/// A program on the `PATH`.
fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
