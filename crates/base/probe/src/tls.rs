//! TLS of probes.

use rustls::ClientConfig;

/// TLS of probes, which takes any certificate, as Azure's do.
pub(crate) fn of_probes() -> Result<ClientConfig, rustls::Error> {
    let mut config = backstay_tls::any_certificate()?;
    // Every probe is to make a handshake of its own.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}
