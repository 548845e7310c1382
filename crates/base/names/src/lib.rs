//! Where a name points now, as one DNS server says, or those of the system: never what was true a
//! moment ago, since that is what a failover changes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// No resolver can be made.
    #[error("no resolver of {}: {problem}", called(*.server))]
    Resolver {
        /// The server; without one, the system's.
        server: Option<SocketAddr>,
        /// What the resolver said.
        problem: String,
    },
    /// It has no address, or nobody says.
    #[error("{} does not say where {name} is: {problem}", called(*.server))]
    Unknown {
        /// The server; without one, the system's.
        server: Option<SocketAddr>,
        /// The name that was asked for.
        name: String,
        /// What the resolver said.
        problem: String,
    },
}

/// Asks one server, each time again.
#[derive(Clone, Debug)]
pub struct Names {
    server: Option<SocketAddr>,
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
        let provider = TokioRuntimeProvider::default();
        let builder = TokioResolver::builder_with_config(config, provider);
        Self::build(Some(server), Ok(builder))
    }

    /// Those that the system's name servers know.
    ///
    /// # Errors
    /// When the system's configuration cannot be read.
    pub fn of_system() -> Result<Self, NameError> {
        Self::build(None, TokioResolver::builder_tokio())
    }

    fn build(
        server: Option<SocketAddr>,
        builder: Result<ResolverBuilder<TokioRuntimeProvider>, NetError>,
    ) -> Result<Self, NameError> {
        let mut options = ResolverOpts::default();
        options.cache_size = 0;
        options.timeout = Duration::from_secs(1);
        options.attempts = 2;
        let built = builder.and_then(|it| it.with_options(options).build());
        let resolver = built.map_err(|error| NameError::Resolver {
            server,
            problem: error.to_string(),
        })?;
        Ok(Self { server, resolver })
    }

    /// Where a name points now: its first address.
    ///
    /// # Errors
    /// When it has no address, or the server does not answer.
    pub async fn address(&self, name: &str) -> Result<IpAddr, NameError> {
        let found = self.addresses(name).await?;
        found.first().copied().ok_or_else(|| NameError::Unknown {
            server: self.server,
            name: name.to_owned(),
            problem: "it has no address".to_owned(),
        })
    }

    /// All addresses that a name points to now.
    ///
    /// # Errors
    /// When there is no such name, or the server does not answer.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NameError> {
        let absolute = format!("{}.", name.trim_end_matches('.'));
        match self.resolver.lookup_ip(absolute).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) => Err(NameError::Unknown {
                server: self.server,
                name: name.to_owned(),
                problem: error.to_string(),
            }),
        }
    }
}

fn called(server: Option<SocketAddr>) -> String {
    server.map_or_else(
        || "the system's name server".to_owned(),
        |it| it.to_string(),
    )
}
