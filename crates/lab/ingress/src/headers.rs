//! What a proxy takes out of a message, and what it adds.

use axum::http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use backstay_listen::Peer;

/// Headers that are for one connection and not for what is behind it (RFC 9110, section 7.6.1).
const ONE_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Takes out what is for one connection only, and what `Connection` says is.
pub(crate) fn without_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Nobody may have these taken out: they say what the message is.
        .filter(|name| ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in ONE_HOP {
        headers.remove(name);
    }
}

/// Makes a client's headers those of a request to an endpoint. What the client says of who it is
/// and how it came is replaced by what is known.
pub(crate) fn of_request(headers: &mut HeaderMap, host: &HeaderValue, peer: Peer) {
    without_hop(headers);
    // The length goes by the body; `100 Continue` has been dealt with on this side.
    headers.remove(CONTENT_LENGTH);
    headers.remove(EXPECT);
    headers.remove(FORWARDED);
    headers.insert(HOST, host.clone());
    headers.insert(FORWARDED_HOST, host.clone());
    let proto = if peer.secure { "https" } else { "http" };
    headers.insert(PROTO, HeaderValue::from_static(proto));
    let address = peer.address.ip().to_canonical().to_string();
    // An address is always good text.
    if let Ok(address) = HeaderValue::from_str(&address) {
        headers.insert(FOR, address);
    }
}

/// Says of a request that could have a body that it has none (RFC 9110, section 8.6); hyper says
/// the length of one that it has.
pub(crate) fn without_body(headers: &mut HeaderMap, method: &Method) {
    if matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

#[cfg(test)]
mod tests;
