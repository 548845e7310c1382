//! `backstay token-hash`.

use backstay_node::RootToken;
use serde::Serialize;

use crate::args::{Output, TokenHashFlags};
use crate::{Exit, print_bytes, print_error};

/// As humio-operator reads it: from a line that is `{` to one that is `}`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    secret: &'a str,
    hashed_token: &'a str,
}

/// Makes the secret, unless one is given, and its hash.
pub fn run(flags: TokenHashFlags, output: Output) -> Exit {
    let token = match RootToken::of(flags.secret) {
        Ok(token) => token,
        Err(error) => {
            print_error(&error.to_string());
            return Exit::Failed;
        }
    };
    let shown = Shown {
        secret: &token.secret,
        hashed_token: &token.hash,
    };
    if !flags.json && !output.is_json() {
        let text = format!("secret: {}\nhash:   {}\n", token.secret, token.hash);
        return print_bytes(text.as_bytes());
    }
    match serde_json::to_string_pretty(&shown) {
        Ok(text) => print_bytes(format!("{text}\n").as_bytes()),
        Err(error) => {
            print_error(&error.to_string());
            Exit::Failed
        }
    }
}
