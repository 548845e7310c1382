//! What may be asked without a token: humio-operator looks for a licence, and installs the first one, before it
//! has any. Nothing else, and no more of a licence than its id and its times.

use async_graphql::Request;
use async_graphql::parser::types::{Field, Selection, SelectionSet};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;

use super::cost;
use crate::http::auth;

/// A licence has some 1000 bytes.
pub(super) const MAX_REQUEST_BYTES: usize = 16 << 10;

/// Fields that may be asked for, and those of a licence.
const ROOTS: [&str; 3] = ["__typename", "installedLicense", "updateLicenseKey"];
const OF_A_LICENSE: [&str; 4] = ["__typename", "expiresAt", "issuedAt", "uid"];

/// Whether a request without a token is read at all: a body that is announced as longer is not.
pub(super) fn may_be_read(headers: &HeaderMap) -> bool {
    let announced = headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|it| it.to_str().ok()?.parse().ok());
    auth::token(headers).is_none() && announced.is_none_or(|it: usize| it <= MAX_REQUEST_BYTES)
}

/// Whether this asks for nothing else. What cannot be understood does not.
pub(super) fn is_open(body: &[u8]) -> bool {
    let Ok(mut request) = serde_json::from_slice::<Request>(body) else {
        return false;
    };
    if cost::check(&mut request).is_err() {
        return false;
    }
    let Ok(document) = request.parsed_query() else {
        return false;
    };
    let mut operations = document.operations.iter();
    operations.all(|(_, operation)| are_open(&operation.node.selection_set.node, &is_open_root))
}

fn is_open_root(field: &Field) -> bool {
    ROOTS.contains(&field.name.node.as_str())
        && are_open(&field.selection_set.node, &|field: &Field| {
            OF_A_LICENSE.contains(&field.name.node.as_str())
        })
}

/// Named fragments could hide anything.
fn are_open(set: &SelectionSet, allowed: &dyn Fn(&Field) -> bool) -> bool {
    set.items.iter().all(|item| match &item.node {
        Selection::Field(field) => allowed(&field.node),
        Selection::InlineFragment(inline) => are_open(&inline.node.selection_set.node, allowed),
        Selection::FragmentSpread(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn open(query: &str) -> bool {
        is_open(json!({ "query": query }).to_string().as_bytes())
    }

    #[test]
    fn nothing_but_the_licence_is_open() {
        for query in [
            "{ installedLicense { ... on OnPremLicense { uid expiresAt } } }",
            "{ installedLicense { __typename expiresAt issuedAt } }",
            "mutation($k: String!) { updateLicenseKey(license: $k) { __typename } }",
        ] {
            assert!(open(query), "{query}");
        }
        for query in [
            "",
            "{",
            "{ meta { version } }",
            "{ installedLicense { ... on OnPremLicense { owner } } }",
            "{ installedLicense { uid } users { username } }",
            "{ installedLicense { ...F } } fragment F on License { expiresAt }",
            "query A { installedLicense { expiresAt } } query B { users { id } }",
            "{ __schema { types { name } } }",
        ] {
            assert!(!open(query), "{query}");
        }
        assert!(!is_open(b"no request"));
    }
}
