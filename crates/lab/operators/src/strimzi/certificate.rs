//! The certificate that Kafka's clients are told to trust.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// A new authority's certificate as PEM. Its key is not kept: nothing is signed by it.
pub(super) fn authority() -> Result<String, rcgen::Error> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let name = &mut parameters.distinguished_name;
    name.push(DnType::OrganizationName, "io.strimzi");
    name.push(DnType::CommonName, "cluster-ca v0");
    let key = KeyPair::generate()?;
    Ok(parameters.self_signed(&key)?.pem())
}
