//! One suite for all buckets: a folder always, and a real Azurite where there is one.
//!
//! Other crates' tests may include `conformance/suite.rs` and `conformance/azurite.rs` by path.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

#[path = "conformance/azurite.rs"]
pub mod azurite;
#[path = "conformance/proxy.rs"]
pub mod proxy;
#[path = "conformance/suite.rs"]
pub mod suite;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backstay_bucket::{Bucket, BucketConfig, Created, Error, Provider, Role, Secret};
use bytes::Bytes;
use tokio::net::TcpListener;

use azurite::Azurite;
use proxy::Proxy;
use suite::{Backend, content};

const ENCRYPTION_KEY: &str = "a generated secret";

struct Folder(PathBuf);

#[async_trait]
impl Backend for Folder {
    fn config(&self, prefix: &str) -> BucketConfig {
        BucketConfig {
            prefix: prefix.to_owned(),
            ..BucketConfig::local(&self.0, Secret::new(ENCRYPTION_KEY), Role::Own)
        }
    }

    async fn read_raw(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }

    async fn write_raw(&self, name: &str, stored: Vec<u8>) {
        std::fs::write(self.0.join(name), stored).unwrap();
    }
}

struct Container {
    azurite: Arc<Azurite>,
    name: String,
}

impl Container {
    async fn new(azurite: Arc<Azurite>) -> Self {
        let name = format!("test-{}", uuid::Uuid::new_v4());
        azurite.create_container(&name).await;
        Self { azurite, name }
    }

    fn at(&self, endpoint: &str) -> BucketConfig {
        azure(endpoint, &self.name)
    }
}

fn azure(endpoint: &str, container: &str) -> BucketConfig {
    BucketConfig {
        provider: Provider::Azure {
            account: azurite::ACCOUNT.to_owned(),
            key: Secret::new(azurite::KEY),
            endpoint_base: Some(endpoint.to_owned()),
        },
        container: container.to_owned(),
        ..BucketConfig::local("", Secret::new(ENCRYPTION_KEY), Role::Own)
    }
}

#[async_trait]
impl Backend for Container {
    fn config(&self, prefix: &str) -> BucketConfig {
        BucketConfig {
            prefix: prefix.to_owned(),
            ..self.at(&self.azurite.url)
        }
    }

    async fn read_raw(&self, name: &str) -> Vec<u8> {
        self.azurite.read(&self.name, name).await
    }

    async fn write_raw(&self, name: &str, stored: Vec<u8>) {
        self.azurite.write(&self.name, name, stored).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    suite::run(&Folder(folder.path().join("bucket"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azurite_conforms() {
    let Some(azurite) = azurite::azurite() else {
        return;
    };
    suite::run(&Container::new(azurite).await).await;
}

#[tokio::test]
async fn a_wrong_account_key_is_denied_with_account_container_and_variable() {
    let Some(azurite) = azurite::azurite() else {
        return;
    };
    let container = Container::new(azurite).await;
    let config = BucketConfig {
        provider: Provider::Azure {
            account: azurite::ACCOUNT.to_owned(),
            key: Secret::new("bm90IHRoZSBrZXk="),
            endpoint_base: Some(container.azurite.url.clone()),
        },
        role: Role::RecoverFrom,
        ..container.config("")
    };
    let error = Bucket::open(config).await.unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error}");
    let text = error.to_string();
    for part in [
        azurite::ACCOUNT,
        &container.name,
        "AZURE_RECOVER_FROM_ACCOUNTKEY",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(!text.contains("bm90IHRoZSBrZXk"));
}

#[tokio::test]
async fn a_missing_container_is_named() {
    let Some(azurite) = azurite::azurite() else {
        return;
    };
    let error = Bucket::open(azure(&azurite.url, "no-such-container"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoContainer { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("no-such-container") && text.contains("AZURE_STORAGE_BUCKET"));
}

#[tokio::test]
async fn a_missing_folder_is_made_for_the_own_bucket_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let source = BucketConfig::local(&path, Secret::new("k"), Role::RecoverFrom);
    let error = Bucket::open(source.clone()).await.unwrap_err();
    assert!(matches!(error, Error::NoContainer { .. }), "{error}");
    assert!(error.to_string().contains("LOCAL_RECOVER_FROM_PATH"));
    let own = BucketConfig::local(&path, Secret::new("k"), Role::Own);
    let own = Bucket::open(own).await.unwrap();
    own.put("x", content(10)).await.unwrap();
    let source = Bucket::open(source).await.unwrap();
    assert_eq!(source.get("x").await.unwrap(), content(10));
    // The probe of a cluster's own bucket leaves nothing behind.
    let left: Vec<_> = futures::TryStreamExt::try_collect(own.list("probes/", None))
        .await
        .unwrap();
    assert_eq!(left, []);
    // A folder that goes away is not a folder without objects.
    std::fs::remove_dir_all(&path).unwrap();
    let error = source.get("x").await.unwrap_err();
    assert!(matches!(error, Error::NoContainer { .. }), "{error}");
}

#[tokio::test]
async fn a_bucket_that_is_opened_to_read_is_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs");
    let config = BucketConfig::local(&path, Secret::new("k"), Role::Own);
    let error = Bucket::open_to_read(config.clone()).await.unwrap_err();
    assert!(matches!(error, Error::NoContainer { .. }), "{error}");
    assert!(!path.exists());
    let bucket = Bucket::open(config.clone()).await.unwrap();
    bucket.put("x", content(10)).await.unwrap();
    let reader = Bucket::open_to_read(config).await.unwrap();
    assert_eq!(reader.get("x").await.unwrap(), content(10));
    let refused = [
        reader.put("y", content(1)).await.map(drop),
        reader.put("y", content(9 << 20)).await.map(drop),
        reader.put_if_absent("y", content(1)).await.map(drop),
        reader.put_stream("y").await.map(drop),
        reader.delete("x").await,
        reader.delete_all(vec!["x".to_owned()]).await,
    ];
    for refused in refused {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
    }
    let left: Vec<_> = futures::TryStreamExt::try_collect(reader.list("", None))
        .await
        .unwrap();
    let keys: Vec<_> = left.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["x"]);
}

#[tokio::test]
async fn an_empty_encryption_key_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = BucketConfig::local(folder.path(), Secret::new(""), Role::Own);
    let error = Bucket::open(config).await.unwrap_err();
    assert!(matches!(error, Error::Config { .. }), "{error}");
    assert!(error.to_string().contains("LOCAL_STORAGE_ENCRYPTION_KEY"));
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let config = BucketConfig {
        deadline: Duration::from_millis(300),
        ..azure(&endpoint, "logs")
    };
    is_unreachable(&Bucket::open(config).await.unwrap_err(), &endpoint);
}

#[tokio::test]
async fn an_endpoint_that_never_answers_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let config = BucketConfig {
        deadline: Duration::from_millis(300),
        ..azure(&endpoint, "logs")
    };
    // Connections are accepted by the kernel and never read.
    is_unreachable(&Bucket::open(config).await.unwrap_err(), &endpoint);
    drop(listener);
}

/// On Linux all of 127.0.0.0/8 is this machine.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn requests_come_from_the_address_that_is_configured() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let source: std::net::IpAddr = "127.0.0.9".parse().unwrap();
    let config = BucketConfig {
        source_address: Some(source),
        deadline: Duration::from_secs(60),
        ..azure(&endpoint, "logs")
    };
    let opening = tokio::spawn(Bucket::open(config));
    let (_, peer) = listener.accept().await.unwrap();
    assert_eq!(peer.ip(), source);
    opening.abort();
}

fn is_unreachable(error: &Error, endpoint: &str) {
    assert!(
        matches!(error, Error::Unreachable { endpoint: at, .. } if at == endpoint),
        "{error}"
    );
    assert!(error.is_retryable());
    assert!(error.to_string().contains(endpoint));
}

/// Every operation begins while the line is cut, waits, and succeeds when it is mended.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_shorter_than_the_deadline_is_only_a_delay() {
    let Some(azurite) = azurite::azurite() else {
        return;
    };
    let container = Container::new(Arc::clone(&azurite)).await;
    let target = azurite.url.trim_start_matches("http://").to_owned();
    let proxy = Proxy::to(target).await;
    let bucket = Bucket::open(BucketConfig {
        deadline: Duration::from_secs(60),
        ..container.at(&format!("http://{}", proxy.address))
    })
    .await
    .unwrap();
    bucket.put("before", content(100_000)).await.unwrap();

    proxy.cut().await;
    let operations = tokio::spawn({
        let bucket = bucket.clone();
        async move {
            tokio::try_join!(
                bucket.get("before"),
                bucket.get_range("before", 70_000..70_010),
                bucket.put("during", content(10)),
                bucket.put_if_absent("entry", content(20)),
                bucket.head("before"),
                bucket.list_dirs(""),
                bucket.delete("nothing"),
                futures::TryStreamExt::try_collect::<Vec<_>>(bucket.list("before", None)),
            )
        }
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!operations.is_finished());
    proxy.mend();

    let (whole, range, (), created, info, _, (), listed) = operations.await.unwrap().unwrap();
    assert_eq!(whole, content(100_000));
    assert_eq!(range, content(100_000)[70_000..70_010]);
    assert_eq!(created, Created::New);
    assert_eq!(listed, [info]);
    assert_eq!(bucket.get("during").await.unwrap(), content(10));
    assert_eq!(bucket.get("entry").await.unwrap(), content(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_longer_than_the_deadline_is_an_error_and_no_end() {
    let Some(azurite) = azurite::azurite() else {
        return;
    };
    let container = Container::new(Arc::clone(&azurite)).await;
    let target = azurite.url.trim_start_matches("http://").to_owned();
    let proxy = Proxy::to(target).await;
    let endpoint = format!("http://{}", proxy.address);
    let bucket = Bucket::open(BucketConfig {
        deadline: Duration::from_secs(10),
        ..container.at(&endpoint)
    })
    .await
    .unwrap();
    let impatient = Bucket::open(BucketConfig {
        deadline: Duration::from_millis(400),
        ..container.at(&endpoint)
    });
    proxy.cut().await;
    is_unreachable(&impatient.await.unwrap_err(), &endpoint);
    // Cut in the middle of a large object, both ways.
    proxy.mend();
    let mut writer = bucket.put_stream("large").await.unwrap();
    writer.write(content(9 * 1024 * 1024)).await.unwrap();
    proxy.cut().await;
    let rest = tokio::spawn(async move {
        writer.write(content(9 * 1024 * 1024)).await?;
        writer.finish().await
    });
    tokio::task::yield_now().await;
    proxy.mend();
    rest.await.unwrap().unwrap();
    let both = [content(9 * 1024 * 1024), content(9 * 1024 * 1024)].concat();
    assert!(bucket.get("large").await.unwrap() == both);
}

/// A file system of its own that is full, where this process may mount one.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_an_error_of_its_own_and_leaves_nothing_half_written() {
    use std::process::Command;
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(folder.path())
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        backstay_testkit::skip_even_on_ci("this user may not mount a small file system");
        return;
    }
    let config = BucketConfig::local(folder.path(), Secret::new("k"), Role::Own);
    let bucket = Bucket::open(config).await.unwrap();
    bucket.put("small", content(1000)).await.unwrap();
    let put = bucket.put("large", content(2_000_000)).await;
    let created = bucket.put_if_absent("entry", content(2_000_000)).await;
    let streamed = async {
        let mut writer = bucket.put_stream("stream").await?;
        writer.write(content(20_000_000)).await?;
        writer.finish().await
    }
    .await;
    let left: Result<Vec<_>, _> = futures::TryStreamExt::try_collect(bucket.list("", None)).await;
    let small = bucket.get("small").await;
    // Room again, and it goes on.
    bucket.delete("small").await.unwrap();
    let after = bucket.put_if_absent("entry", content(500_000)).await;
    drop(bucket);
    let unmounted = Command::new("umount").arg(folder.path()).status().unwrap();
    assert!(unmounted.success());
    for error in [
        put.unwrap_err(),
        created.map(drop).unwrap_err(),
        streamed.unwrap_err(),
    ] {
        assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    }
    assert_eq!(left.unwrap().len(), 1);
    assert_eq!(small.unwrap(), content(1000));
    assert_eq!(after.unwrap(), Created::New);
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let config = BucketConfig::local(folder.path(), Secret::new("hush"), Role::Own);
    let bucket = Bucket::open(config).await.unwrap();
    let writer = bucket.put_stream("x").await.unwrap();
    let text = format!(
        "{bucket:?} {writer:?} {} {:?}",
        Secret::new("hush"),
        Secret::new("hush")
    );
    assert!(!text.contains("hush"), "{text}");
    let stored = {
        bucket
            .put("x", Bytes::from_static(b"plain words"))
            .await
            .unwrap();
        std::fs::read(folder.path().join("x")).unwrap()
    };
    assert!(
        !stored
            .windows(5)
            .any(|window| window == b"plain" || window == b"words")
    );
}
