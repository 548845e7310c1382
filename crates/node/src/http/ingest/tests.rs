//! Bodies are read and unpacked within the memory that there is.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use axum::http::HeaderValue;
use proptest::prelude::*;

use super::body::BatchMemory;
use super::*;
use crate::memory::{MIN_BUDGET_BYTES, MemoryBudget, MemoryUse, NoMemory};

/// 2026-11-24T03:00:00Z.
const NOW_MS: i64 = 1_795_489_200_000;

proptest! {
    #[test]
    fn unpacking_never_panics_and_gives_back_what_was_packed(
        plain in prop::collection::vec(any::<u8>(), 0..500),
        name in prop::sample::select(vec!["gzip", "deflate", "zstd", "br", "identity"]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let unpack = |encoding: &'static str, body: Vec<u8>| {
            let mut headers = HeaderMap::new();
            headers.insert("Content-Encoding", HeaderValue::from_static(encoding));
            let memory = memory();
            runtime.block_on(body::unpack(&headers, body.into(), memory)).map(|(plain, _)| plain)
        };
        let _ = unpack(name, plain.clone());
        let packed = zstd::encode_all(plain.as_slice(), 1).unwrap();
        prop_assert_eq!(unpack("zstd", packed).unwrap(), plain);
    }
}

/// Memory of the usual size.
fn memory() -> BatchMemory {
    UnpackLimiter::default().batch_memory(&MemoryBudget::new(1 << 30))
}

#[test]
fn memory_is_given_back_and_what_no_batch_can_have_is_refused() {
    let limiter = UnpackLimiter::default();
    let memory = MemoryBudget::new(1 << 30);
    let share = memory.share(MemoryUse::Ingest);
    let status = |result: Result<(), NoMemory>| {
        result.map_err(|error| ApiError::from(error).status().as_u16())
    };
    let mut first = limiter.batch_memory(&memory);
    assert_eq!(status(first.take(share / 4 * 3)), Ok(()));
    assert_eq!(status(first.take(share / 2)), Err(413));
    let mut second = limiter.batch_memory(&memory);
    assert_eq!(status(second.take(share / 2)), Err(429));
    first.give(share / 2);
    assert_eq!(status(second.take(share / 2)), Ok(()));
    drop((first, second));
    assert_eq!(status(limiter.batch_memory(&memory).take(share)), Ok(()));
    // The refused one asks again.
    assert_eq!(
        status(limiter.batch_memory(&memory).take(share + 1)),
        Err(413)
    );
}

#[test]
fn what_is_announced_takes_no_memory_and_what_unpacks_is_counted_as_it_comes() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let memory = MemoryBudget::new(MIN_BUDGET_BYTES);
    let limiter = UnpackLimiter::default();
    let mut headers = HeaderMap::new();
    headers.insert("Content-Length", HeaderValue::from_static("33554432"));
    let mut quiet = limiter.batch_memory(&memory);
    let (_sender, body) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = futures::stream::unfold(body, |mut body| async { Some((body.recv().await?, body)) });
    let trickling = body::read(&headers, Body::from_stream(body), &mut quiet);
    let waited = std::time::Duration::from_millis(1);
    runtime
        .block_on(async { tokio::time::timeout(waited, trickling).await })
        .unwrap_err();
    assert_eq!(memory.used(MemoryUse::Ingest), 0);
    // 30 MiB of nothing in a few KiB: more than there is.
    let packed = zstd::encode_all(&vec![0; 30 << 20][..], 1).unwrap();
    headers.insert("Content-Encoding", HeaderValue::from_static("zstd"));
    let unpacked = body::unpack(&headers, packed.into(), limiter.batch_memory(&memory));
    let refused = runtime.block_on(unpacked).map(|_| ()).unwrap_err();
    assert_eq!(refused.status().as_u16(), 413);
    assert_eq!(memory.used(MemoryUse::Ingest), 0);
}

#[test]
fn events_are_counted_as_they_are_in_memory() {
    let memory = MemoryBudget::new(1 << 30);
    let mut memory_of_batch = UnpackLimiter::default().batch_memory(&memory);
    let body = format!(r#"[{{"messages":[{}]}}]"#, vec![r#""""#; 100_000].join(","));
    let events = {
        let headers = HeaderMap::new();
        let mut context = Context {
            headers: &headers,
            query: None,
            parser: None,
            now_ms: NOW_MS,
            max_fields: 1000,
            memory: &mut memory_of_batch,
        };
        IngestFormat::Unstructured
            .decode(&body.into(), &mut context)
            .unwrap()
            .events
    };
    let truly: usize = events.iter().map(Event::memory_bytes).sum();
    let told = memory.used(MemoryUse::Ingest);
    assert!(told >= truly && told <= truly * 3, "{told} {truly}");
}
