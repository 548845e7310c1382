#![allow(clippy::unwrap_used)]

use serde_json::Value;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::*;

#[tokio::test]
async fn a_failed_call_says_why_and_not_the_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let notification = Notification {
        id: Uuid::nil(),
        alert: Uuid::nil(),
        receiver: "on-call".to_owned(),
        uri: format!("http://{address}/hook?code=secret"),
        body: Value::Null,
    };
    let client = new_client().unwrap();
    let hang_up = async { drop(listener.accept().await.unwrap()) };
    let (outcome, ()) = tokio::join!(call(&client, &notification), hang_up);
    let Outcome::Again(reason) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        reason.starts_with("error sending request: "),
        "no cause: {reason}"
    );
    for part in ["secret", "hook", &address.to_string()] {
        assert!(!reason.contains(part), "{part} is in {reason}");
    }
}
