//! The ways to both regions and to Azure, and what is read by them: all reads, and all at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backstay_azure::{Client, NotAnId, ResourceId, SetUpError};
use backstay_cluster::{Access, ClusterError, Region, Secret, Service};
use backstay_kinds::{HUMIO_CLUSTER, KAFKA, LEASE};
use backstay_pair::{Derived, EnvVar, HUMIO_OPERATOR, Pair, Side};
use backstay_retry::{Deadline, Policy};
use futures::future::OptionFuture;
use futures::{StreamExt as _, stream};
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::environment::declared;
use crate::fact::{Asked, AzureFacts, Fact, Granted, Held, RegionFacts};

/// Calls to one API server that are under way at the same time.
const CONCURRENT_CALLS: usize = 8;

/// How calls are retried here: sooner than in a failover, because somebody waits for the answer.
pub const POLICY: Policy = Policy {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(4),
    jitter: 0.25,
    attempt: Duration::from_secs(10),
};

/// Why there is no way to a part of the world.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoAccess {
    /// Into a cluster.
    #[error(transparent)]
    Cluster(Arc<ClusterError>),
    /// To the Resource Manager.
    #[error(transparent)]
    Azure(Arc<SetUpError>),
    /// It is not described.
    #[error("the kubeconfig has no context {0}")]
    NoContext(String),
}

impl NoAccess {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_retryable(),
            Self::Azure(_) | Self::NoContext(_) => false,
        }
    }
}

/// The ways in. Why there is none is kept, and told by the checks that would have taken it.
#[derive(Clone, Debug)]
pub struct World {
    /// The secondary's cluster.
    pub standby: Result<Region, NoAccess>,
    /// The primary's cluster.
    pub primary: Result<Region, NoAccess>,
    /// The Resource Manager.
    pub azure: Result<Client, NoAccess>,
}

impl World {
    /// By the contexts of the pair's file in the kubeconfig, and whoever the environment makes us in
    /// Azure. Nothing is asked yet. `in_cluster`: for the standby by our pod's service account.
    pub async fn of(pair: &Pair, in_cluster: bool) -> Self {
        let region = async |side: Side, in_cluster: bool| {
            let access = access(pair, side, in_cluster);
            let region = Region::connect(&access, &pair.namespace, POLICY).await;
            region.map_err(|error| NoAccess::Cluster(Arc::new(error)))
        };
        let azure = Client::of_process(&pair.traffic_manager.arm_endpoint, POLICY);
        Self {
            standby: region(Side::Secondary, in_cluster).await,
            primary: region(Side::Primary, false).await,
            azure: azure.map_err(|error| NoAccess::Azure(Arc::new(error))),
        }
    }
}

/// The way into a region's cluster: by our pod's service account, or by the context that the pair's
/// file names.
pub fn access(pair: &Pair, side: Side, in_cluster: bool) -> Access {
    match in_cluster {
        true => Access::InCluster,
        false => Access::Kubeconfig {
            path: None,
            context: pair.region(side).context.clone(),
        },
    }
}

/// Reads a region.
pub(crate) async fn region(
    way: &Result<Region, NoAccess>,
    pair: &Pair,
    derived: &Derived,
    deadline: Deadline,
) -> RegionFacts {
    let region = match way {
        Ok(region) => region,
        Err(why) => {
            let why = why.to_string();
            let names = derived.secrets.iter().map(|it| it.name.clone());
            return RegionFacts {
                operator: Fact::Unknown(why.clone()),
                pools: Fact::Unknown(why.clone()),
                variables: Fact::Unknown(why.clone()),
                secrets: names.map(|it| (it, Fact::Unknown(why.clone()))).collect(),
                kafka: (derived.kafka_replicas > 0).then(|| Fact::Unknown(why.clone())),
            };
        }
    };
    let names = pair.region(derived.side);
    let kafka = (derived.kafka_replicas > 0).then(|| region.kafka(&names.kafka, deadline));
    let (operator, cluster, secrets, kafka) = futures::join!(
        region.operator(HUMIO_OPERATOR, deadline),
        region.humio_cluster(&names.cluster, deadline),
        secrets(region, derived, deadline),
        OptionFuture::from(kafka),
    );
    let (pools, variables) = match Fact::of_cluster(cluster) {
        Fact::Is(cluster) => {
            let variables = Fact::of_cluster(declared(region, &cluster));
            (Fact::Is(cluster.pools), variables)
        }
        Fact::Absent(what) => (Fact::Absent(what.clone()), Fact::Absent(what)),
        Fact::Unknown(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why)),
    };
    RegionFacts {
        operator: Fact::of_cluster(operator),
        pools,
        variables,
        secrets,
        kafka: kafka.map(Fact::of_cluster),
    }
}

/// Reads the services.
pub(crate) async fn services(
    way: &Result<Region, NoAccess>,
    deadline: Deadline,
) -> Fact<Vec<Service>> {
    match way {
        Ok(region) => Fact::of_cluster(region.services(deadline).await),
        Err(why) => Fact::Unknown(why.to_string()),
    }
}

/// Reads the variables that a region's HumioCluster declares.
pub(crate) async fn variables(
    region: &Region,
    name: &str,
    deadline: Deadline,
) -> Fact<Vec<EnvVar>> {
    let cluster = region.humio_cluster(name, deadline).await;
    Fact::of_cluster(cluster.and_then(|cluster| declared(region, &cluster)))
}

/// Reads the secrets that a region needs.
pub(crate) async fn secrets(
    region: &Region,
    derived: &Derived,
    deadline: Deadline,
) -> BTreeMap<String, Fact<Held>> {
    let names = derived.secrets.iter().map(|it| it.name.clone());
    let secrets = stream::iter(names).map(|name| async move {
        let secret = Fact::of_cluster(region.secret(&name, deadline).await);
        let held = match secret {
            Fact::Is(secret) => Fact::Is(held(&secret)),
            Fact::Absent(what) => Fact::Absent(what),
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        (name, held)
    });
    secrets.buffer_unordered(CONCURRENT_CALLS).collect().await
}

fn held(secret: &Secret) -> Held {
    let keys = secret.keys().filter_map(|key| {
        let value = secret.value(key)?.expose_secret().to_vec();
        Some((key.to_owned(), SecretSlice::from(value)))
    });
    keys.collect()
}

/// Reads the profile and the alert.
pub(crate) async fn traffic(
    way: &Result<Client, NoAccess>,
    pair: &Pair,
    deadline: Deadline,
) -> AzureFacts {
    let ids = || {
        let profile = pair.traffic_manager.profile_id().parse::<ResourceId>()?;
        Ok((profile, pair.alert_id().parse::<ResourceId>()?))
    };
    let asked = match way {
        Ok(client) => ids()
            .map(|(profile, alert)| (client, profile, alert))
            .map_err(|error: NotAnId| error.to_string()),
        Err(why) => Err(why.to_string()),
    };
    let (client, profile, alert) = match asked {
        Ok(asked) => asked,
        Err(why) => {
            return AzureFacts {
                profile: Fact::Unknown(why.clone()),
                alert: Fact::Unknown(why),
            };
        }
    };
    let (profile, alert) = futures::join!(
        client.profile(&profile, deadline),
        client.metric_alert(&alert, deadline),
    );
    AzureFacts {
        profile: Fact::of_azure(profile),
        alert: Fact::of_azure(alert),
    }
}

/// What a failover does in the standby's cluster: verb, resource, and the object's name where a
/// role may be restricted to it.
fn needed(pair: &Pair, derived: &Derived) -> Vec<(&'static str, &'static str, String)> {
    const DEPLOYMENTS: &str = "deployments.apps";
    const LEASES: &str = LEASE.resource;
    let operator = || HUMIO_OPERATOR.to_owned();
    let any = String::new;
    let names = &pair.secondary;
    let mut needed = vec![
        ("get", DEPLOYMENTS, operator()),
        ("patch", DEPLOYMENTS, operator()),
        ("patch", "deployments.apps/scale", operator()),
        ("get", HUMIO_CLUSTER.resource, names.cluster.clone()),
        ("get", LEASES, any()),
        ("create", LEASES, any()),
        ("patch", LEASES, any()),
        ("create", "events", any()),
        ("list", "pods", any()),
        ("get", "pods/log", any()),
        ("list", "services", any()),
        ("list", "secrets", any()),
        ("delete", "secrets", any()),
    ];
    let secrets = derived.secrets.iter();
    needed.extend(secrets.map(|it| ("get", "secrets", it.name.clone())));
    if derived.kafka_replicas > 0 {
        needed.push(("get", KAFKA.resource, names.kafka.clone()));
    }
    needed
}

/// Asks for each permission that a failover takes.
pub(crate) async fn permissions(
    way: &Result<Region, NoAccess>,
    pair: &Pair,
    derived: &Derived,
    deadline: Deadline,
) -> Vec<Asked> {
    let asked = stream::iter(needed(pair, derived)).map(|(verb, resource, name)| async move {
        let answer = match way {
            Err(why) => Granted::Unknown(why.to_string()),
            Ok(region) => match region.may(verb, resource, &name, deadline).await {
                Ok(()) => Granted::Yes,
                Err(ClusterError::Forbidden { denied, .. }) => Granted::No(denied.grant),
                Err(error) => Granted::Unknown(error.to_string()),
            },
        };
        let what = match name.as_str() {
            "" => format!("{verb} {resource}"),
            name => format!("{verb} {resource} {name}"),
        };
        Asked { what, answer }
    });
    asked.buffered(CONCURRENT_CALLS).collect().await
}
