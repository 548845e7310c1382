# The tasks of the project; `just` lists them. Each calls what CI calls.

# What there is
default:
    @just --list

# The main job: two regions on this machine, a disaster, and the way back
drill *flags:
    cargo run --release -- drill {{flags}}

# Every check but the costliest tests
test:
    bash tests/run

# The costliest tests, all or some of `tests/judges --list`: just judges kills
judges *names:
    bash tests/judges {{names}}

# Types and lints only, of everything: the quickest answer
check:
    cargo clippy --workspace --all-targets -- -D warnings

# One crate's unit tests: just unit journal
unit crate filter="":
    cargo test --package backstay-{{crate}} --lib {{filter}}

# One test program of the whole workspace: just one regions damage
one program filter="":
    cargo test --workspace --test {{program}} {{filter}}

# All benchmarks, or one: just bench ingest
bench *names:
    cargo run --release --package backstay-bench -- {{names}}

# What reads bytes from outside, with libFuzzer; needs a nightly compiler: just fuzz 600 query
fuzz seconds="60" *targets:
    bash fuzz/run {{seconds}} {{targets}}

# Noise at the DNS server for longer than the tests throw it
noise seconds="60":
    BACKSTAY_FUZZ_SECONDS={{seconds}} cargo test --package backstay-traffic-dns --lib no_datagram

# Layout of the sources
fmt:
    cargo fmt --all
