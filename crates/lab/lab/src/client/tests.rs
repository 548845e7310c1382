#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{ClientError, NodeClient};

/// A server that answers each connection with the given bytes, in pieces of `piece`.
async fn server(answer: String, piece: usize) -> NodeClient {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 64 << 10];
            let _ = stream.read(&mut request).await;
            for part in answer.as_bytes().chunks(piece) {
                stream.write_all(part).await.unwrap();
                stream.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    NodeClient::new(&url).unwrap()
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

async fn query(client: &NodeClient) -> Vec<Result<super::Row, ClientError>> {
    client
        .query("admin", "repo", "*")
        .await
        .unwrap()
        .collect()
        .await
}

#[tokio::test]
async fn rows_are_split_wherever_the_pieces_end() {
    let body = "{\"a\":\"1\"}\n\n{\"a\":\"zwölf\"}\n{\"a\":\"last\"}";
    for piece in [1, 2, 3, 7, 1000] {
        let client = server(answer("200 OK", "", body), piece).await;
        let rows: Vec<String> = query(&client)
            .await
            .into_iter()
            .map(|row| row.unwrap()["a"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(rows, ["1", "zwölf", "last"], "in pieces of {piece}");
    }
}

#[tokio::test]
async fn a_search_that_breaks_off_is_an_error_and_not_the_end() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n{\"a\":\"1\"}\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = NodeClient::new(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(cut.as_bytes()).await.unwrap();
    });
    let rows = query(&client).await;
    assert!(rows[0].is_ok());
    assert!(matches!(rows[1], Err(ClientError::Transport { .. })));
    assert_eq!(rows.len(), 2);
}

#[tokio::test]
async fn a_row_that_is_no_object_is_an_error() {
    let client = server(answer("200 OK", "", "{\"a\":1}\nnot json\n"), 1000).await;
    let rows = query(&client).await;
    assert!(
        matches!(&rows[1], Err(ClientError::Nonsense { problem, .. }) if problem.contains("not json"))
    );
}

#[tokio::test]
async fn a_count_may_be_text_or_a_number_and_must_be_there() {
    for (body, count) in [
        ("{\"_count\":\"12\"}\n", Some(12)),
        ("{\"_count\":12}\n", Some(12)),
        ("", None),
    ] {
        let client = server(answer("200 OK", "", body), 1000).await;
        assert_eq!(client.count("admin", "repo").await.ok(), count, "{body}");
    }
}

#[tokio::test]
async fn only_what_may_pass_is_sent_again() {
    for (status, again) in [
        ("503 Service Unavailable", true),
        ("429 Too Many Requests", true),
        ("401 Unauthorized", false),
        ("400 Bad Request", false),
    ] {
        let client = server(answer(status, "Retry-After: 3\r\n", "because"), 1000).await;
        let error = client
            .ingest("token", "key", "[]".into())
            .await
            .unwrap_err();
        assert_eq!(error.is_retryable(), again, "{error}");
        let ClientError::Refused {
            body, retry_after, ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!(
            (body.as_str(), retry_after),
            ("because", Some(Duration::from_secs(3)))
        );
    }
    let closed = NodeClient::new("http://127.0.0.1:1/").unwrap();
    assert!(
        closed
            .ingest("token", "key", "[]".into())
            .await
            .unwrap_err()
            .is_retryable()
    );
}

#[tokio::test]
async fn errors_of_graphql_are_errors() {
    let body = r#"{"data":null,"errors":[{"message":"no such repository"}]}"#;
    let client = server(answer("200 OK", "", body), 1000).await;
    let error = client.create_repository("admin", "x").await.unwrap_err();
    assert!(error.to_string().contains("no such repository"), "{error}");
    let body = r#"{"data":{"addIngestTokenV3":{"token":"t-1"}}}"#;
    let client = server(answer("200 OK", "", body), 1000).await;
    assert_eq!(
        client.create_ingest_token("admin", "x", "y").await.unwrap(),
        "t-1"
    );
}
