//! The implementation of TLS's cryptography that every client and server of ours uses.
//!
//! rustls comes with none that it would choose by itself where several are compiled in, and libraries
//! (reqwest, kube) take the one that the process has installed.

mod any;

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, ring};

pub use any::any_certificate;

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(ring::default_provider()));

/// For whoever builds a configuration of rustls.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// Makes it the process's default, for libraries that build their configuration themselves. To be
/// called before the first of their clients is made; as often as one likes.
pub fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster.
        let _ = ring::default_provider().install_default();
    }
}
