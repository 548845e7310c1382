#![no_main]

use backstay_ingest::IngestFormat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| backstay_fuzz::ingest(
    IngestFormat::Otlp,
    "application/x-protobuf",
    input
));
