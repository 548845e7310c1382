#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::Azurite;

/// The expected value was computed apart from this code, with Python's `hmac`.
#[test]
fn the_signature_is_that_of_shared_key() {
    let azurite = Azurite::new("http://127.0.0.1:10000").unwrap();
    let signature = azurite.sign("PUT", "drill", "Tue, 24 Nov 2026 04:00:00 GMT");
    assert_eq!(signature, "CPtX6IDNNOqYZEKuHe5pue7c7RXSPHUMsfm0oiAIkb0=");
}

#[test]
fn the_account_may_be_in_the_path_or_not() {
    for url in [
        "http://127.0.0.1:10000",
        "http://127.0.0.1:10000/",
        "http://127.0.0.1:10000/devstoreaccount1",
    ] {
        assert_eq!(
            Azurite::new(url).unwrap().url(),
            "http://127.0.0.1:10000/devstoreaccount1"
        );
    }
    for url in [
        "127.0.0.1:10000",
        "ftp://127.0.0.1",
        "http://127.0.0.1:10000/other",
        "",
    ] {
        let error = Azurite::new(url).unwrap_err();
        assert!(error.to_string().contains("--azurite"), "{error}");
    }
}

#[tokio::test]
async fn an_azurite_that_is_not_there_is_an_error_that_says_so() {
    let azurite = Azurite::new("http://127.0.0.1:1").unwrap();
    let error = azurite.create_container("drill").await.unwrap_err();
    assert!(
        error.to_string().contains("is Azurite running there"),
        "{error}"
    );
}

#[tokio::test]
async fn a_container_is_made_once_and_deleted() {
    let Some(azurite) = Azurite::for_tests().unwrap() else {
        return;
    };
    let container = format!("test-{:08x}", rand::random::<u32>());
    azurite.create_container(&container).await.unwrap();
    let again = azurite.create_container(&container).await.unwrap_err();
    assert!(again.to_string().contains("409"), "{again}");
    azurite.delete_container(&container).await.unwrap();
}
