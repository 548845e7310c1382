//! How `backstay watch` lets alerts in, out of its flags.

use backstay_azure::{Cloud, CloudError, Environment};
use backstay_listen::{CertificateError, Tls};
use backstay_pair::Pair;
use backstay_token::{FileToken, TokenError};
use backstay_webhook::{Door, Entra, EntraError, Options, Rule, RuleError};

use crate::args::WebhookFlags;

/// The port on which the Functions host expects its handler
/// (<https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>).
const FUNCTIONS_PORT: &str = "FUNCTIONS_CUSTOMHANDLER_PORT";

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Two are described.
    #[error("--webhook and {FUNCTIONS_PORT} are both given; there is one door")]
    Both,
    /// The Functions host names a port that is none.
    #[error("{FUNCTIONS_PORT}: {0:?} is not a valid port: a number from 0 to 65535")]
    Port(String),
    /// The pair's alert.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The secret that callers have.
    #[error(transparent)]
    Secret(#[from] TokenError),
    /// Which Azure it is.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// Whose tokens are taken.
    #[error(transparent)]
    Entra(#[from] EntraError),
    /// The certificate that was named cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// The door that the flags describe; none, if they describe none.
pub fn options(flags: &WebhookFlags, pair: &Pair) -> Result<Option<Options>, DoorError> {
    let door = match (functions_port()?, flags.address) {
        (Some(port), None) => Door::Functions { port },
        (None, Some(address)) => Door::Network {
            address,
            tls: tls(flags)?,
        },
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(DoorError::Both);
        }
    };
    let rule: Rule = pair.alert_id().parse()?;
    let mut options = Options::new(door, rule);
    if let Some(path) = &flags.secret {
        options.secret = Some(FileToken::at(path, "--webhook-secret-file")?);
    }
    if let Some(tenant) = &flags.tenant {
        let environment = Environment::of_process();
        let arm = Some(pair.traffic_manager.arm_endpoint.as_str());
        let cloud = Cloud::new(arm, &environment)?;
        let entra = Entra::new(&cloud, tenant, &flags.audience, &flags.app)?;
        options.entra = Some(entra);
    }
    Ok(Some(options))
}

fn functions_port() -> Result<Option<u16>, DoorError> {
    match std::env::var(FUNCTIONS_PORT) {
        Err(_) => Ok(None),
        Ok(text) => match text.trim().parse() {
            Ok(port) => Ok(Some(port)),
            Err(_) => Err(DoorError::Port(text)),
        },
    }
}

fn tls(flags: &WebhookFlags) -> Result<Option<Tls>, DoorError> {
    let (Some(cert), Some(key)) = (&flags.cert, &flags.key) else {
        return Ok(None);
    };
    Ok(Some(Tls::of_files(cert, key)?))
}
