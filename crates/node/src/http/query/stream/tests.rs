#![allow(clippy::unwrap_used, clippy::expect_used)]

use axum::http::HeaderValue;
use futures::TryStreamExt;

use super::*;
use crate::memory::{MIN_BUDGET_BYTES, MemoryBudget, MemoryUse};

fn row(text: &str) -> Row {
    let row = serde_json::json!({ "@rawstring": text });
    row.as_object().unwrap().clone()
}

fn failure() -> SearchError {
    SearchError::Unavailable {
        detail: "the bucket is gone".to_owned(),
    }
}

fn rows(rows: Vec<Result<Row, SearchError>>) -> BoxStream<'static, Result<Row, SearchError>> {
    stream::iter(rows).boxed()
}

async fn written(format: Format, texts: &[&str]) -> String {
    let rows = rows(texts.iter().map(|text| Ok(row(text))).collect());
    let chunks: Vec<Bytes> = body(format, rows).try_collect().await.unwrap();
    String::from_utf8(chunks.concat()).unwrap()
}

#[tokio::test]
async fn rows_are_framed_however_many_there_are() {
    let many: Vec<String> = (0..CHUNK_ROWS * 2 + 1).map(|n| n.to_string()).collect();
    for texts in [&[][..], &["a\nb"][..]] {
        let array: Value = serde_json::from_str(&written(Format::Array, texts).await).unwrap();
        assert_eq!(array.as_array().unwrap().len(), texts.len());
    }
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let array: Value = serde_json::from_str(&written(Format::Array, &many).await).unwrap();
    assert_eq!(array.as_array().unwrap().len(), many.len());
    assert_eq!(
        written(Format::Ndjson, &many).await.lines().count(),
        many.len()
    );
    // One line of JSON, whatever is in the text.
    assert_eq!(
        written(Format::Ndjson, &["a\nb"]).await,
        "{\"@rawstring\":\"a\\nb\"}\n"
    );
}

#[tokio::test]
async fn what_fails_at_once_is_an_answer_and_what_fails_later_breaks_off() {
    let memory = MemoryBudget::new(MIN_BUDGET_BYTES);
    let take = || memory.try_take(MemoryUse::Searches, 1000).unwrap();
    let refused = respond(Format::Array, rows(vec![Err(failure())]), take()).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("the bucket is gone")
    );
    assert_eq!(memory.used(MemoryUse::Searches), 0);

    let broken = rows(vec![Ok(row("a")), Err(failure())]);
    let answer = respond(Format::Array, broken, take()).await.unwrap();
    assert!(memory.used(MemoryUse::Searches) > 0);
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
    assert!(body.is_err(), "{body:?}");
    assert_eq!(memory.used(MemoryUse::Searches), 0);
}

#[tokio::test]
async fn the_last_line_of_an_answer_that_breaks_off_says_why() {
    for format in [Format::Ndjson, Format::Array, Format::Text] {
        let broken = rows(vec![Ok(row("a")), Ok(row("b")), Err(failure())]);
        let chunks: Vec<_> = body(format, broken).collect().await;
        let (written, ends): (Vec<_>, Vec<_>) = chunks.into_iter().partition(Result::is_ok);
        assert_eq!(ends.len(), 1, "it is broken off all the same");
        let written: Vec<Bytes> = written.into_iter().map(Result::unwrap).collect();
        let text = String::from_utf8(written.concat()).unwrap();
        let why = text
            .lines()
            .find(|line| line.contains("the bucket is gone"));
        let why = why.expect("a line that says why");
        match format {
            Format::Text => assert!(why.starts_with("error: "), "{why}"),
            Format::Array => assert!(why.contains("@error"), "{why}"),
            Format::Ndjson => {
                let line: Value = serde_json::from_str(why).unwrap();
                assert_eq!(line["@error"], "true");
                assert!(
                    line["error"]
                        .as_str()
                        .unwrap()
                        .contains("the bucket is gone")
                );
            }
        }
    }
}

#[test]
fn the_first_format_that_is_known_is_taken() {
    let accepted = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(value));
        Format::accepted(&headers).ok()
    };
    assert_eq!(accepted("application/x-ndjson"), Some(Format::Ndjson));
    assert_eq!(
        accepted("image/png, Application/JSON;q=0.5"),
        Some(Format::Array)
    );
    assert_eq!(accepted("*/*"), Some(Format::Text));
    assert_eq!(accepted("text/csv"), None);
    assert_eq!(Format::accepted(&HeaderMap::new()).ok(), Some(Format::Text));
}
