//! How `backstay watch` lets alerts in, out of its flags.

use backstay_azure::{Cloud, Environment};
use backstay_listen::Tls;
use backstay_pair::Pair;
use backstay_token::FileToken;
use backstay_webhook::{Door, Entra, Options, Rule};

use crate::args::WebhookFlags;

/// The port on which the Functions host expects its handler
/// (<https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>).
const FUNCTIONS_PORT: &str = "FUNCTIONS_CUSTOMHANDLER_PORT";

/// The door that the flags describe; none, if they describe none. The error is a sentence.
pub fn options(flags: &WebhookFlags, pair: &Pair) -> Result<Option<Options>, String> {
    let door = match (functions_port()?, flags.address) {
        (Some(port), None) => Door::Functions { port },
        (None, Some(address)) => Door::Network {
            address,
            tls: tls(flags)?,
        },
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(format!(
                "--webhook and {FUNCTIONS_PORT} are both given; there is one door"
            ));
        }
    };
    let rule: Rule = pair.alert_id().parse().map_err(told)?;
    let mut options = Options::new(door, rule);
    if let Some(path) = &flags.secret {
        options.secret = Some(FileToken::at(path, "--webhook-secret-file").map_err(told)?);
    }
    if let Some(tenant) = &flags.tenant {
        let environment = Environment::of_process();
        let arm = Some(pair.traffic_manager.arm_endpoint.as_str());
        let cloud = Cloud::new(arm, &environment).map_err(told)?;
        let entra = Entra::new(&cloud, tenant, &flags.audience, &flags.app).map_err(told)?;
        options.entra = Some(entra);
    }
    Ok(Some(options))
}

fn told(error: impl std::error::Error) -> String {
    error.to_string()
}

fn functions_port() -> Result<Option<u16>, String> {
    match std::env::var(FUNCTIONS_PORT) {
        Err(_) => Ok(None),
        Ok(text) => match text.trim().parse() {
            Ok(port) => Ok(Some(port)),
            Err(_) => Err(format!("{FUNCTIONS_PORT} is no port: {text:?}")),
        },
    }
}

fn tls(flags: &WebhookFlags) -> Result<Option<Tls>, String> {
    let (Some(cert), Some(key)) = (&flags.cert, &flags.key) else {
        return Ok(None);
    };
    Tls::of_files(cert, key).map(Some).map_err(told)
}
