//! A token in a file, as `backstay traffic` makes one: for the lab.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use super::{SourceError, Token};

/// The file is read again this often, in case that the server got another token.
const REREAD_INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct TokenFile(PathBuf);

impl TokenFile {
    pub(super) fn new(path: &str) -> Self {
        Self(PathBuf::from(path))
    }

    pub(super) async fn token(&self) -> Result<Token, SourceError> {
        let path = self.0.display();
        let text = tokio::fs::read_to_string(&self.0).await.map_err(|error| {
            let why = format!("{path}: {error} (BACKSTAY_AZURE_TOKEN_FILE)");
            match error.kind() {
                // The server that makes it may only be starting.
                ErrorKind::NotFound => SourceError::later(why),
                _ => SourceError::Refused(why),
            }
        })?;
        match text.trim() {
            "" => Err(SourceError::later(format!("{path}: no token in it"))),
            token => Token::new(token.to_owned(), REREAD_INTERVAL),
        }
    }
}
