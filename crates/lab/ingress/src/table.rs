//! Where requests go: a picture of the region's ingresses, services and endpoints at one moment.
//! It is never changed; when something in the region does, a new one takes its place.
//!
//! Rules are those of `networking.k8s.io/v1`
//! (<https://kubernetes.io/docs/concepts/services-networking/ingress/#path-types>): an exact host
//! before a wildcard before none, the longest path, an `Exact` path before a `Prefix` of the same
//! length. Of two ingresses that claim the same, the older has it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::{Endpoints as EndpointsObject, Service};
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, ServiceBackendPort,
};

use crate::choose::{Candidate, choose};
use crate::endpoint::{Endpoint, Endpoints};
use crate::host;

/// What the region's API server knows of routes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    pub ingresses: Vec<Arc<Ingress>>,
    pub services: Vec<Arc<Service>>,
    pub endpoints: Vec<Arc<EndpointsObject>>,
}

/// The routes.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// By host as rules write it, wildcards included; the empty one is for all.
    hosts: HashMap<String, Vec<Path>>,
    /// For what no rule is for.
    otherwise: Option<Arc<Backend>>,
}

/// A path of a rule, and where it leads.
#[derive(Debug)]
struct Path {
    /// Without a slash at the end when it is a prefix.
    path: String,
    exact: bool,
    backend: Arc<Backend>,
}

/// What a service's port comes to.
#[derive(Debug)]
pub(crate) struct Backend {
    /// `service:port`, as the rule has it.
    pub name: String,
    /// What its endpoints speak: `http` or `https`.
    pub scheme: &'static str,
    endpoints: Vec<Arc<Endpoint>>,
    /// Why there are no endpoints.
    pub problem: String,
    turn: AtomicUsize,
}

/// What a request's host and path lead to.
#[derive(Debug)]
pub(crate) enum Route<'a> {
    To(&'a Arc<Backend>),
    /// No rule is for this host.
    NoHost,
    /// Rules are for this host, but not for this path.
    NoPath,
}

impl Backend {
    /// Where the next request goes that has been at `tried`.
    pub(crate) fn choose(&self, tried: &[SocketAddr]) -> Option<Arc<Endpoint>> {
        let candidates: Vec<Candidate> = self
            .endpoints
            .iter()
            .map(|it| it.candidate(tried.contains(&it.address())))
            .collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let index = choose(&candidates, turn)?;
        self.endpoints.get(index).cloned()
    }
}

impl Table {
    /// The routes of `class`: its ingresses, and those that name no class.
    pub(crate) fn new(objects: &Objects, class: &str, known: &mut Endpoints) -> Self {
        let mut backends = Backends {
            objects,
            known,
            made: HashMap::new(),
        };
        let mut table = Self::default();
        for ingress in ours(&objects.ingresses, class) {
            let Some(spec) = &ingress.spec else { continue };
            let scheme = scheme(ingress);
            for rule in spec.rules.iter().flatten() {
                let written = rule.host.as_deref().unwrap_or_default();
                let host = match written {
                    "" => Some(String::new()),
                    written => host::normal(written),
                };
                let Some(host) = host else {
                    tracing::warn!(
                        ingress = ingress.metadata.name.as_deref().unwrap_or_default(),
                        host = written,
                        "the host of a rule is none; the rule is left out"
                    );
                    continue;
                };
                let paths = table.hosts.entry(host).or_default();
                for path in rule.http.iter().flat_map(|http| &http.paths) {
                    paths.push(Path::new(path, backends.of(&path.backend, scheme)));
                }
            }
            if let (None, Some(backend)) = (&table.otherwise, &spec.default_backend) {
                table.otherwise = Some(backends.of(backend, scheme));
            }
        }
        for paths in table.hosts.values_mut() {
            // Stable: of two that are the same, the older ingress's is found first.
            paths.sort_by_key(|path| (Reverse(path.path.len()), !path.exact));
        }
        known.forget_gone();
        table
    }

    /// Where a request for this host (in its [normal](host::normal) form) and path goes.
    pub(crate) fn route(&self, host: &str, path: &str) -> Route<'_> {
        let wildcard = host::wildcard(host);
        let names = [Some(host), wildcard.as_deref(), Some("")];
        let mut rules = names
            .into_iter()
            .flatten()
            .filter_map(|name| self.hosts.get(name))
            .peekable();
        let without = match rules.peek() {
            Some(_) => Route::NoPath,
            None => Route::NoHost,
        };
        rules
            .find_map(|paths| paths.iter().find(|it| it.matches(path)))
            .map(|found| &found.backend)
            .or(self.otherwise.as_ref())
            .map_or(without, Route::To)
    }

    /// How many endpoints each backend has, by its name.
    pub(crate) fn backends(&self) -> HashMap<&str, usize> {
        let paths = self.hosts.values().flatten().map(|path| &path.backend);
        paths
            .chain(&self.otherwise)
            .map(|backend| (backend.name.as_str(), backend.endpoints.len()))
            .collect()
    }
}

impl Path {
    fn new(path: &HTTPIngressPath, backend: Arc<Backend>) -> Self {
        // `ImplementationSpecific` is a prefix here, as in ingress-nginx.
        let exact = path.path_type == "Exact";
        let written = path.path.as_deref().unwrap_or("/");
        let path = if exact {
            written
        } else {
            written.trim_end_matches('/')
        };
        Self {
            path: path.to_owned(),
            exact,
            backend,
        }
    }

    fn matches(&self, path: &str) -> bool {
        match path.strip_prefix(&self.path) {
            None => false,
            Some(rest) if self.exact => rest.is_empty(),
            // Whole elements: `/a` is no prefix of `/ab`.
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
        }
    }
}

/// Said in capitals, as everywhere in ingress-nginx's documentation, or not.
const PROTOCOL: &str = "nginx.ingress.kubernetes.io/backend-protocol";

/// What the pods behind an ingress speak.
fn scheme(ingress: &Ingress) -> &'static str {
    let annotations = ingress.metadata.annotations.as_ref();
    let protocol = annotations.and_then(|all| all.get(PROTOCOL));
    match protocol.map(String::as_str) {
        Some(protocol) if protocol.eq_ignore_ascii_case("HTTPS") => "https",
        _ => "http",
    }
}

/// The ingresses that are ours, the oldest first.
pub(crate) fn ours<'a>(all: &'a [Arc<Ingress>], class: &str) -> Vec<&'a Ingress> {
    let is_ours = |ingress: &&Arc<Ingress>| {
        let spec = ingress.spec.as_ref();
        let named = spec.and_then(|spec| spec.ingress_class_name.as_deref());
        named.is_none_or(|named| named == class)
    };
    let mut ours: Vec<&Ingress> = all.iter().filter(is_ours).map(Arc::as_ref).collect();
    ours.sort_by_key(|ingress| {
        let metadata = &ingress.metadata;
        let made = metadata.creation_timestamp.as_ref().map(|time| time.0);
        (made, metadata.name.clone())
    });
    ours
}

/// Services by name and port, each looked up once.
struct Backends<'a> {
    objects: &'a Objects,
    known: &'a mut Endpoints,
    made: HashMap<(String, &'static str), Arc<Backend>>,
}

impl Backends<'_> {
    fn of(&mut self, backend: &IngressBackend, scheme: &'static str) -> Arc<Backend> {
        let (service, port) = match &backend.service {
            Some(service) => (service.name.as_str(), service.port.as_ref()),
            None => ("", None),
        };
        let name = format!("{service}:{}", written(port));
        let key = (name.clone(), scheme);
        if let Some(made) = self.made.get(&key) {
            return Arc::clone(made);
        }
        let (endpoints, problem) = match self.addresses(service, port) {
            Ok(addresses) if addresses.is_empty() => {
                let problem = format!(
                    "no pod behind the service {service:?} is ready; see `kubectl get endpoints \
                     {service}`, and whether the service's selector is that of the pods"
                );
                (Vec::new(), problem)
            }
            Ok(addresses) => {
                let endpoints = addresses.into_iter().map(|address| self.known.at(address));
                (endpoints.collect(), String::new())
            }
            Err(problem) => (Vec::new(), problem.to_string()),
        };
        let made = Arc::new(Backend {
            name,
            scheme,
            endpoints,
            problem,
            turn: AtomicUsize::new(0),
        });
        self.made.insert(key, Arc::clone(&made));
        made
    }

    fn addresses(
        &self,
        service: &str,
        port: Option<&ServiceBackendPort>,
    ) -> Result<Vec<SocketAddr>, NoBackend> {
        if service.is_empty() {
            return Err(NoBackend::Unnamed);
        }
        let found = self
            .objects
            .services
            .iter()
            .find(|it| it.metadata.name.as_deref() == Some(service))
            .ok_or_else(|| NoBackend::NoService(service.to_owned()))?;
        let ports = found
            .spec
            .iter()
            .flat_map(|spec| spec.ports.iter().flatten());
        let is_meant = |name: Option<&str>, number: i32| match port {
            None => false,
            Some(ServiceBackendPort {
                name: Some(wanted), ..
            }) if !wanted.is_empty() => name == Some(wanted),
            Some(wanted) => wanted.number == Some(number),
        };
        let service_port = ports
            .clone()
            .find(|it| is_meant(it.name.as_deref(), it.port))
            .ok_or_else(|| NoBackend::NoPort {
                service: service.to_owned(),
                port: written(port),
            })?;
        let port_name = service_port.name.as_deref().unwrap_or_default();
        let mut addresses = Vec::new();
        let endpoints = self.objects.endpoints.iter();
        for subset in endpoints
            .filter(|it| it.metadata.name.as_deref() == Some(service))
            .flat_map(|it| it.subsets.iter().flatten())
        {
            let target = subset
                .ports
                .iter()
                .flatten()
                .find(|port| port.name.as_deref().unwrap_or_default() == port_name)
                .and_then(|port| u16::try_from(port.port).ok());
            let Some(target) = target else { continue };
            for ready in subset.addresses.iter().flatten() {
                match ready.ip.parse::<IpAddr>() {
                    Ok(ip) => addresses.push(SocketAddr::new(ip, target)),
                    Err(_) => tracing::warn!(service, ip = ready.ip, "an endpoint has no address"),
                }
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }
}

/// Why requests of an ingress lead to nobody.
#[derive(Debug, thiserror::Error)]
enum NoBackend {
    #[error("the ingress names no service; other backends are not served")]
    Unnamed,
    #[error("there is no service {0:?}, which the ingress names")]
    NoService(String),
    #[error("the service {service:?} has no port {port:?}, which the ingress names")]
    NoPort { service: String, port: String },
}

fn written(port: Option<&ServiceBackendPort>) -> String {
    match port {
        None => String::new(),
        Some(port) => match (&port.name, port.number) {
            (Some(name), _) if !name.is_empty() => name.clone(),
            (_, number) => number.map(|it| it.to_string()).unwrap_or_default(),
        },
    }
}

#[cfg(test)]
mod tests;
