#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::frame::{Frame, read_frame};
use super::headers::{Compressor, Decompressor, dictionary};

/// The checksum by which both sides know the dictionary.
fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    b << 16 | a
}

#[test]
fn the_dictionary_is_that_of_spdy_3() {
    assert_eq!(dictionary().len(), 1423);
    assert_eq!(adler32(&dictionary()), 0xe3c6_a7c2);
}

fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = (headers.len() as u32).to_be_bytes().to_vec();
    for (name, value) in headers {
        for word in [name, value] {
            block.extend_from_slice(&(word.len() as u32).to_be_bytes());
            block.extend_from_slice(word.as_bytes());
        }
    }
    block
}

#[test]
fn blocks_of_a_session_are_one_stream() {
    let mut compressor = Compressor::new().unwrap();
    let mut decompressor = Decompressor::new();
    for id in 0..50 {
        let id = id.to_string();
        let headers = [
            ("streamtype", "data"),
            ("port", "8080"),
            ("requestid", id.as_str()),
        ];
        let packed = compressor.pack(&block(&headers)).unwrap();
        let read = decompressor.headers(&packed).unwrap();
        let expected: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(read, expected);
    }
    let none = compressor.no_headers().unwrap();
    assert_eq!(decompressor.headers(&none).unwrap(), []);
}

#[test]
fn a_block_that_unpacks_to_too_much_is_refused() {
    let mut compressor = Compressor::new().unwrap();
    let value = "x".repeat(1 << 20);
    let packed = compressor.pack(&block(&[("name", &value)])).unwrap();
    assert!(packed.len() < 16 << 10);
    assert!(Decompressor::new().headers(&packed).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), control in any::<bool>()) {
        let _ = Decompressor::new().headers(&bytes);
        let mut frame = bytes.clone();
        if control && frame.len() > 8 {
            let kind = frame[3] % 10;
            frame[..6].copy_from_slice(&[0x80, 3, 0, kind, 0, 0]);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut read = frame.as_slice();
            while let Ok(Some(frame)) = read_frame(&mut read).await {
                if frame == Frame::GoAway {
                    break;
                }
            }
        });
    }
}
