//! Where a name points, as one DNS server says.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// No resolver can be made.
    #[error("no resolver of {server}: {problem}")]
    Resolver {
        /// The server.
        server: SocketAddr,
        /// Why.
        problem: String,
    },
    /// It has no address, or nobody says.
    #[error("{server} does not say where {name} is: {problem}")]
    Unknown {
        /// The server.
        server: SocketAddr,
        /// The name.
        name: String,
        /// Why.
        problem: String,
    },
}

/// Asks one server, each time anew.
#[derive(Clone, Debug)]
pub struct Names {
    server: SocketAddr,
    resolver: TokioResolver,
}

impl Names {
    /// Those that this server knows.
    ///
    /// # Errors
    /// When no resolver can be made.
    pub fn of(server: SocketAddr) -> Result<Self, NameError> {
        let mut connection = ConnectionConfig::udp();
        connection.port = server.port();
        let known = NameServerConfig::new(server.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, vec![], vec![known]);
        let mut options = ResolverOpts::default();
        // What was true a second ago is what a failover changes.
        options.cache_size = 0;
        options.timeout = Duration::from_secs(1);
        options.attempts = 2;
        let provider = TokioRuntimeProvider::default();
        let resolver = TokioResolver::builder_with_config(config, provider)
            .with_options(options)
            .build()
            .map_err(|error| NameError::Resolver {
                server,
                problem: error.to_string(),
            })?;
        Ok(Self { server, resolver })
    }

    /// Where a name points now.
    ///
    /// # Errors
    /// When it has no address, or the server does not answer.
    pub async fn address(&self, name: &str) -> Result<IpAddr, NameError> {
        let unknown = |problem: String| NameError::Unknown {
            server: self.server,
            name: name.to_owned(),
            problem,
        };
        let absolute = format!("{}.", name.trim_end_matches('.'));
        let found = self
            .resolver
            .lookup_ip(absolute)
            .await
            .map_err(|error| unknown(error.to_string()))?;
        found
            .iter()
            .next()
            .ok_or_else(|| unknown("it has no address".to_owned()))
    }
}
