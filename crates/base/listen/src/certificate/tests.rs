#![allow(clippy::unwrap_used)]

use rcgen::generate_simple_self_signed;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;

const OFTEN: Duration = Duration::from_millis(10);

struct Folder {
    folder: TempDir,
}

/// A certificate and its key.
fn pair() -> (String, String) {
    let made = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, certificate: &str, key: &str) {
        std::fs::write(self.path("cert.pem"), certificate).unwrap();
        std::fs::write(self.path("key.pem"), key).unwrap();
    }

    fn open(&self) -> Result<(CertificateFiles, Arc<ServerConfig>), CertificateError> {
        CertificateFiles::open(&self.path("cert.pem"), &self.path("key.pem"))
    }

    fn follow(&self) -> (Tls, JoinHandle<()>) {
        let (files, config) = self.open().unwrap();
        let tls = Tls::new(config);
        let following = tokio::spawn(files.follow_every(OFTEN, None, tls.clone()));
        (tls, following)
    }
}

async fn until_exchanged(tls: &Tls, before: &Arc<ServerConfig>) {
    while Arc::ptr_eq(&tls.config(), before) {
        tokio::time::sleep(OFTEN).await;
    }
}

#[test]
fn what_cannot_be_used_is_said_and_no_key_is_quoted() {
    let folder = Folder::new();
    let (certificate, key) = pair();
    let (_, other) = pair();
    assert!(matches!(folder.open(), Err(CertificateError::File { .. })));
    folder.write("nothing", &key);
    assert!(matches!(
        folder.open(),
        Err(CertificateError::Certificate(_))
    ));
    folder.write(&certificate, "a secret");
    let error = folder.open().unwrap_err();
    assert!(matches!(error, CertificateError::Key(_)));
    assert!(!error.to_string().contains("a secret"));
    folder.write(&certificate, &other);
    assert!(matches!(folder.open(), Err(CertificateError::Pair { .. })));
    folder.write(&certificate, &key);
    assert!(folder.open().is_ok());
}

#[test]
fn half_a_pair_is_told_of_once_and_what_did_not_change_not_at_all() {
    let folder = Folder::new();
    let (first, second) = (pair(), pair());
    folder.write(&first.0, &first.1);
    let (mut files, _) = folder.open().unwrap();
    assert!(files.look(false).unwrap().is_none());
    folder.write(&second.0, &first.1);
    assert!(files.look(false).is_err());
    assert!(files.look(false).unwrap().is_none());
    assert!(files.look(true).is_err());
    folder.write(&second.0, &second.1);
    assert!(files.look(false).unwrap().is_some());
    assert!(files.look(true).unwrap().is_some());
    std::fs::remove_file(folder.path("key.pem")).unwrap();
    assert!(files.look(false).is_err());
    assert!(files.look(false).unwrap().is_none());
    folder.write(&second.0, &second.1);
    assert!(files.look(false).unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_shown_and_bad_ones_are_not() {
    let folder = Folder::new();
    let (first, second, third) = (pair(), pair(), pair());
    folder.write(&first.0, &first.1);
    let (tls, following) = folder.follow();
    let before = tls.config();
    folder.write(&second.0, &second.1);
    until_exchanged(&tls, &before).await;
    let before = tls.config();
    // The certificate is there before its key.
    folder.write(&third.0, &second.1);
    for _ in 0..5 {
        tokio::time::sleep(OFTEN).await;
        assert!(Arc::ptr_eq(&tls.config(), &before));
    }
    folder.write(&third.0, &third.1);
    until_exchanged(&tls, &before).await;
    following.abort();
}
