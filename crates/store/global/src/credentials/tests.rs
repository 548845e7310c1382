#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;

use backstay_bucket::{Role, S3Credentials};
use tempfile::TempDir;

use super::*;
use crate::recovery::Place;

const SECRETS: [&str; 3] = [
    "aHVzaCBub3cgcGxlYXNl",
    "the key of that bucket",
    "s3cr3t-s3cr3t",
];

async fn own() -> (TempDir, Bucket) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own");
    let config = BucketConfig::local(path, Secret::new("the key of the own one"), Role::Own);
    (folder, Bucket::open(config).await.unwrap())
}

fn with(provider: Provider) -> BucketConfig {
    BucketConfig {
        provider,
        container: "logs".to_owned(),
        prefix: "a/".to_owned(),
        ..BucketConfig::local("/x", Secret::new(SECRETS[1]), Role::RecoverFrom)
    }
}

fn every_provider() -> Vec<BucketConfig> {
    let azure = |endpoint_base: Option<&str>| {
        with(Provider::Azure {
            account: "acct".to_owned(),
            key: Secret::new(SECRETS[0]),
            endpoint_base: endpoint_base.map(str::to_owned),
        })
    };
    let s3 = |credentials| {
        with(Provider::S3 {
            region: "us-east-1".to_owned(),
            credentials,
            endpoint_base: None,
        })
    };
    let gcp = |credentials| {
        with(Provider::Gcp {
            credentials,
            endpoint_base: Some("http://127.0.0.1:1".to_owned()),
        })
    };
    vec![
        azure(None),
        azure(Some("http://127.0.0.1:10000")),
        s3(None),
        s3(Some(S3Credentials {
            access_key_id: "id".to_owned(),
            secret_access_key: Secret::new(SECRETS[2]),
        })),
        gcp(GcpCredentials::WorkloadIdentity),
        gcp(GcpCredentials::ServiceAccountKey(Secret::new(SECRETS[2]))),
        with(Provider::Local {
            path: PathBuf::from("/srv/logs"),
        }),
    ]
}

fn entity(config: &BucketConfig, cluster: &str) -> BucketEntity {
    let entity = Place::of(config).entity(3, cluster, true);
    BucketEntity {
        credentials: reference(3),
        encryption_key_ref: reference(3),
        ..entity
    }
}

#[tokio::test]
async fn every_provider_s_credential_is_the_same_when_read_again() {
    for config in every_provider() {
        let (_folder, own) = own().await;
        let entity = entity(&config, "east");
        let credential = of_config(&config, &entity).await.unwrap();
        assert!(keep(&own, &entity, &credential).await.unwrap());
        assert!(!keep(&own, &entity, &credential).await.unwrap(), "once");
        let read = read(&own, &entity).await.unwrap();
        let opened = super::config(&own, &entity, read);
        assert!(opened.kept_in.as_deref().unwrap().contains("credentials/3"));
        let expected = BucketConfig {
            kept_in: opened.kept_in.clone(),
            ..config
        };
        assert_eq!(opened, expected);
    }
}

#[tokio::test]
async fn the_place_is_as_the_state_says() {
    for config in every_provider() {
        let (_folder, own) = own().await;
        let mut entity = entity(&config, "east");
        let credential = of_config(&config, &entity).await.unwrap();
        keep(&own, &entity, &credential).await.unwrap();
        entity.container = "moved".to_owned();
        entity.key_prefix = "b/".to_owned();
        entity.endpoint = "http://127.0.0.1:2/there".to_owned();
        let opened = super::config(&own, &entity, read(&own, &entity).await.unwrap());
        assert_eq!((&*opened.container, &*opened.prefix), ("moved", "b/"));
        assert_eq!(opened.endpoint(), entity.endpoint);
        assert_eq!(opened.encryption_key.expose(), SECRETS[1]);
    }
}

#[tokio::test]
async fn the_key_file_s_content_is_kept_and_not_its_place() {
    let (folder, own) = own().await;
    let path = folder.path().join("account.json");
    let config = with(Provider::Gcp {
        credentials: GcpCredentials::ServiceAccountFile(path.clone()),
        endpoint_base: None,
    });
    let entity = entity(&config, "east");
    let gone = of_config(&config, &entity).await.unwrap_err().to_string();
    assert!(
        gone.contains("GCP_RECOVER_FROM_ACCOUNT_JSON_FILE"),
        "{gone}"
    );
    std::fs::write(&path, SECRETS[2]).unwrap();
    let credential = of_config(&config, &entity).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    keep(&own, &entity, &credential).await.unwrap();
    let opened = super::config(&own, &entity, read(&own, &entity).await.unwrap());
    let Provider::Gcp { credentials, .. } = opened.provider else {
        panic!("another provider");
    };
    let key = GcpCredentials::ServiceAccountKey(Secret::new(SECRETS[2]));
    assert_eq!(credentials, key);
}

/// Each way in which there is no credential says which bucket, which object, and what to do.
#[tokio::test]
async fn what_is_wrong_names_bucket_object_and_remedy() {
    let (folder, own) = own().await;
    let config = every_provider().remove(0);
    let entity = entity(&config, "east");
    let credential = of_config(&config, &entity).await.unwrap();
    let other = BucketConfig::local(
        folder.path().join("own"),
        Secret::new("another key"),
        Role::Own,
    );
    let other = Bucket::open(other).await.unwrap();
    let mut met = vec![read(&own, &entity).await.unwrap_err()];
    assert!(matches!(met[0], CredentialError::Missing { .. }));
    keep(&other, &entity, &credential).await.unwrap();
    met.push(read(&own, &entity).await.unwrap_err());
    assert!(matches!(met[1], CredentialError::Unreadable { .. }));
    for text in [
        "{",
        "{\"version\":1,\"encryptionKey\":\"s3cr3t-s3cr3t\"}",
        "{\"version\":2}",
    ] {
        own.put("credentials/3", text.into()).await.unwrap();
        met.push(read(&own, &entity).await.unwrap_err());
        assert!(matches!(met.last(), Some(CredentialError::Content { .. })));
    }
    let stale = self::entity(&config, "north");
    let stale = of_config(&config, &stale).await.unwrap();
    keep(&own, &entity, &stale).await.unwrap();
    met.push(read(&own, &entity).await.unwrap_err());
    assert!(matches!(
        met.last(),
        Some(CredentialError::OfAnother { .. })
    ));
    for error in met {
        let text = format!("{error}");
        for part in [
            "bucket 3",
            "container logs",
            "credentials/3 in container own",
            "AZURE_RECOVER_FROM_ variables",
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        for secret in SECRETS {
            assert!(!format!("{text} {error:?}").contains(secret), "{text}");
        }
        assert!(!error.is_retryable());
    }
    // Whatever was there, it is kept again.
    assert!(keep(&own, &entity, &credential).await.unwrap());
    assert_eq!(read(&own, &entity).await.unwrap(), credential);
}

#[tokio::test]
async fn nothing_shows_what_is_kept() {
    let (folder, own) = own().await;
    for config in every_provider() {
        let entity = entity(&config, "east");
        let credential = of_config(&config, &entity).await.unwrap();
        keep(&own, &entity, &credential).await.unwrap();
        let opened = super::config(&own, &entity, credential.clone());
        let shown = format!("{credential:?} {opened:?} {entity:?}");
        let stored = std::fs::read(folder.path().join("own/credentials/3")).unwrap();
        let stored = String::from_utf8_lossy(&stored);
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{shown}");
            assert!(!stored.contains(secret));
        }
    }
}

/// A state of an earlier version names variables; its object is looked for where it would be.
#[tokio::test]
async fn an_entity_of_an_earlier_version_has_an_object_too() {
    let (_folder, own) = own().await;
    let config = every_provider().remove(0);
    let mut entity = entity(&config, "east");
    let credential = of_config(&config, &entity).await.unwrap();
    keep(&own, &entity, &credential).await.unwrap();
    for named in ["env:AZURE_RECOVER_FROM_", "object:cluster.json", ""] {
        entity.credentials = named.to_owned();
        assert_eq!(read(&own, &entity).await.unwrap(), credential);
    }
}
