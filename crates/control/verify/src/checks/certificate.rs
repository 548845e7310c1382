//! The certificate for the global name.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use crate::fact::{Fact, Held};
use crate::finding::{Check, Finding};

/// A certificate that ends sooner may end before anybody comes to renew it. Those of Let's Encrypt
/// are renewed with thirty days left.
const MIN_VALIDITY_LEFT: Duration = Duration::from_secs(14 * 86_400);

/// Whether the standby could serve the global name now, and for a while.
pub(crate) fn certificate(
    secret: &str,
    global_host: &str,
    found: &Fact<Held>,
    now: DateTime<Utc>,
) -> Finding {
    let check = Check::Certificate;
    let renew = format!("renew the certificate in secret {secret}");
    found.judge(check, "create it; without it no client gets in", |held| {
        let Some(pem) = held.get("tls.crt").map(|it| it.expose_secret()) else {
            return Finding::behind(check, Check::Secrets);
        };
        if pem.is_empty() {
            return Finding::behind(check, Check::Secrets);
        }
        let fails = |sentence: String| Finding::fails(check, sentence, renew.as_str());
        // The first one is the server's own; the others lead to the root.
        let Some(Ok(first)) = Pem::iter_from_buffer(pem).next() else {
            return fails(format!(
                "secret {secret}, key tls.crt is no certificate (PEM)"
            ));
        };
        match first.parse_x509() {
            Ok(certificate) => match judge(&certificate, global_host, now) {
                Ok(sentence) => Finding::ok(check, sentence),
                Err(unfit) => fails(unfit.to_string()),
            },
            Err(_) => fails(format!(
                "secret {secret}, key tls.crt is no certificate (X.509)"
            )),
        }
    })
}

/// Why a certificate does not serve the standby. Times are in seconds since 1970.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    /// It is of another name.
    #[error("the certificate is not for {0}")]
    OtherHost(String),
    /// It begins later.
    #[error("the certificate for {host} is not valid before {}", day(*.from))]
    NotYet { host: String, from: i64 },
    /// It has expired.
    #[error("the certificate for {host} has ended on {}", day(*.until))]
    Ended { host: String, until: i64 },
    /// It is about to.
    #[error("the certificate for {host} ends on {}, in {days} days", day(*.until))]
    EndsSoon { host: String, until: i64, days: u64 },
}

fn day(seconds: i64) -> String {
    match DateTime::from_timestamp(seconds, 0) {
        Some(time) => time.format("%Y-%m-%d").to_string(),
        None => format!("{seconds} s after 1970"),
    }
}

fn judge(
    certificate: &X509Certificate<'_>,
    host: &str,
    now: DateTime<Utc>,
) -> Result<String, Unfit> {
    if !names(certificate).iter().any(|name| covers(name, host)) {
        return Err(Unfit::OtherHost(host.to_owned()));
    }
    let validity = certificate.validity();
    let (from, until) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    let now = now.timestamp();
    if from > now {
        let host = host.to_owned();
        return Err(Unfit::NotYet { host, from });
    }
    if until <= now {
        let host = host.to_owned();
        return Err(Unfit::Ended { host, until });
    }
    let left = u64::try_from(until.saturating_sub(now)).unwrap_or_default();
    if left < MIN_VALIDITY_LEFT.as_secs() {
        return Err(Unfit::EndsSoon {
            host: host.to_owned(),
            until,
            days: left / 86_400,
        });
    }
    Ok(format!(
        "the certificate for {host} is valid until {}",
        day(until)
    ))
}

/// The names in the extension; the subject's common name counts nowhere any more (RFC 9110, 4.3.4).
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let extension = certificate.subject_alternative_name();
    let Ok(Some(extension)) = extension else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// RFC 6125, 6.4: a star stands for the whole first label.
fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(_, rest)| rest == domain),
        None => name == host,
    }
}
