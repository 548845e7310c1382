//! A real Azurite, Microsoft's emulator of Azure Blob Storage.
//!
//! `BACKSTAY_AZURITE_BLOB=http://127.0.0.1:PORT` names a running one; otherwise it is started from
//! `$BACKSTAY_AZURITE`, `target/tools/node_modules/.bin/azurite-blob` or the `PATH`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method, StatusCode};
use ring::hmac;

/// Azurite's account and key are the same everywhere and documented: they protect nothing
/// (<https://learn.microsoft.com/azure/storage/common/storage-use-azurite>).
pub const ACCOUNT: &str = "devstoreaccount1";
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// An Azurite, ended with its last user if it was started here.
pub struct Azurite {
    /// Such as `http://127.0.0.1:10000`.
    pub url: String,
    child: Option<Child>,
    http: Client,
}

/// The Azurite of this test process. `None`, the test being skipped, if there is none.
pub fn azurite() -> Option<Arc<Azurite>> {
    static SHARED: Mutex<Weak<Azurite>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    if let Some(running) = shared.upgrade() {
        return Some(running);
    }
    let started = Arc::new(Azurite::find()?);
    *shared = Arc::downgrade(&started);
    Some(started)
}

impl Azurite {
    fn find() -> Option<Self> {
        if let Ok(url) = std::env::var("BACKSTAY_AZURITE_BLOB") {
            return Some(Self::at(url.trim_end_matches('/').to_owned(), None));
        }
        let Some(program) = program() else {
            backstay_testkit::skip(
                "no Azurite; set BACKSTAY_AZURITE_BLOB to a running one (tests/run starts one), or \
                 install it: npm install --prefix target/tools azurite",
            );
            return None;
        };
        let mut child = Command::new(&program)
            .args(["--blobHost", "127.0.0.1", "--blobPort", "0"])
            .args(["--inMemoryPersistence", "--disableTelemetry"])
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| line.split_whitespace().find_map(address))
            .expect("Azurite says where it listens");
        // Read to the end, or it would block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self::at(url, Some(child)))
    }

    fn at(url: String, child: Option<Child>) -> Self {
        // The one that the bucket installs as well; whoever comes first.
        backstay_tls::install_provider();
        Self {
            url,
            child,
            http: Client::new(),
        }
    }

    /// Makes a container, which no bucket does.
    pub async fn create_container(&self, container: &str) {
        let status = self
            .call(Method::PUT, container, "restype=container", Vec::new())
            .await
            .0;
        assert_eq!(status, StatusCode::CREATED);
    }

    /// The stored bytes of a blob.
    pub async fn read(&self, container: &str, name: &str) -> Vec<u8> {
        let path = format!("{container}/{name}");
        let (status, body) = self.call(Method::GET, &path, "", Vec::new()).await;
        assert_eq!(status, StatusCode::OK);
        body
    }

    /// Puts these bytes in the place of a blob.
    pub async fn write(&self, container: &str, name: &str, stored: Vec<u8>) {
        let path = format!("{container}/{name}");
        let (status, _) = self.call(Method::PUT, &path, "", stored).await;
        assert_eq!(status, StatusCode::CREATED);
    }

    /// A request signed with Shared Key
    /// (<https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>).
    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &str,
        body: Vec<u8>,
    ) -> (StatusCode, Vec<u8>) {
        let date = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT");
        let length = match body.len() {
            0 => String::new(),
            length => length.to_string(),
        };
        let blob = method == Method::PUT && query.is_empty();
        let blob_type = if blob {
            "x-ms-blob-type:BlockBlob\n"
        } else {
            ""
        };
        let parameters = query.replace('=', ":");
        let parameters = if query.is_empty() {
            String::new()
        } else {
            format!("\n{parameters}")
        };
        let text = format!(
            "{method}\n\n\n{length}\n\n\n\n\n\n\n\n\n{blob_type}x-ms-date:{date}\nx-ms-version:2021-12-02\n/{ACCOUNT}/{ACCOUNT}/{path}{parameters}"
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(KEY).unwrap());
        let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
        let mut request = self
            .http
            .request(method, format!("{}/{ACCOUNT}/{path}?{query}", self.url))
            .header("x-ms-date", date.to_string())
            .header("x-ms-version", "2021-12-02")
            .header("content-length", body.len())
            .header("authorization", format!("SharedKey {ACCOUNT}:{signature}"))
            .body(body);
        if blob {
            request = request.header("x-ms-blob-type", "BlockBlob");
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        (status, response.bytes().await.unwrap().to_vec())
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn address(word: &str) -> Option<String> {
    let url = word.trim_end_matches('.');
    url.starts_with("http://").then(|| url.to_owned())
}

fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("BACKSTAY_AZURITE") {
        return Some(named.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let installed = root.join("target/tools/node_modules/.bin/azurite-blob");
    if installed.exists() {
        return Some(installed);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("azurite-blob"))
        .find(|program| program.exists())
}
