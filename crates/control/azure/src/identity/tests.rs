//! Renewal, on a clock that the test moves. The other sources are tested over HTTP.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;

fn identity(file: &Path) -> Identity {
    let file = file.to_str().unwrap();
    let environment: Environment = [("BACKSTAY_AZURE_TOKEN_FILE", file)].into_iter().collect();
    let cloud = Cloud::new(None, &environment).unwrap();
    Identity::new(&cloud, &environment, Policy::STANDARD).unwrap()
}

async fn token(identity: &Identity) -> Result<String, IdentityError> {
    let found = identity
        .token(Deadline::after(Duration::from_secs(20)))
        .await;
    found.map(|it| it.expose().to_owned())
}

async fn later(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "one").unwrap();
    let identity = identity(&file);
    assert_eq!(token(&identity).await.unwrap(), "one");
    std::fs::write(&file, "two").unwrap();
    later(29).await;
    assert_eq!(token(&identity).await.unwrap(), "one");
    later(2).await;
    assert_eq!(token(&identity).await.unwrap(), "two");
}

#[tokio::test(start_paused = true)]
async fn an_old_token_serves_while_the_source_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "one").unwrap();
    let identity = identity(&file);
    assert_eq!(token(&identity).await.unwrap(), "one");
    std::fs::remove_file(&file).unwrap();
    later(31).await;
    let before = Instant::now();
    assert_eq!(token(&identity).await.unwrap(), "one");
    assert!(
        before.elapsed() <= RENEWAL_TIMEOUT,
        "a renewal holds up no call for longer"
    );
    // It was just tried in vain, and is not tried with every call.
    let before = Instant::now();
    assert_eq!(token(&identity).await.unwrap(), "one");
    assert_eq!(before.elapsed(), Duration::ZERO);
    // At its end there is nothing left.
    later(31).await;
    let error = token(&identity).await.unwrap_err();
    assert!(
        matches!(error, IdentityError::Unreachable { .. }),
        "{error}"
    );
    std::fs::write(&file, "two").unwrap();
    assert_eq!(token(&identity).await.unwrap(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_thrown_away_but_not_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "one").unwrap();
    let identity = identity(&file);
    let deadline = Deadline::after(Duration::from_secs(20));
    let one = identity.token(deadline).await.unwrap();
    std::fs::write(&file, "two").unwrap();
    identity.refused(&one).await;
    assert_eq!(token(&identity).await.unwrap(), "two");
    // A slow call comes back with what it was told about the first.
    std::fs::write(&file, "three").unwrap();
    identity.refused(&one).await;
    assert_eq!(token(&identity).await.unwrap(), "two");
    assert_eq!(format!("{identity:?}"), "[TokenFile]");
}
