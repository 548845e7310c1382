//! The whole verification: everything is read, a recovery is rehearsed, and the checks judge.

use std::time::Duration;

use backstay_pair::{Derived, Dr, Pair, Side, derive};
use backstay_retry::Deadline;
use chrono::{DateTime, Utc};

use crate::checks;
use crate::clean;
use crate::environment::{Environment, effective};
use crate::fact::{AzureFacts, RegionFacts};
use crate::finding::{Check, Finding};
use crate::recoverable::{Way, of_recovery, own_bucket};
use crate::recovery;
use crate::report::{Figures, Report};
use crate::world::{self, World};

/// The primary's Kubernetes API is waited for as long as the patience, divided by this.
const PRIMARY_TIMEOUT_DIVISOR: u32 = 4;

/// How thorough it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Read the contents of all segments.
    pub deep: bool,
    /// Else of so many.
    pub sample: usize,
    /// Which ones: the same for the same seed and state.
    pub seed: u64,
    /// What is not known counts against the standby, even what only the primary's Kubernetes API
    /// could have told.
    pub strict: bool,
    /// How long each part of the world is waited for.
    pub patience: Duration,
}

/// Whether the standby of this pair is able to take over. Nothing is written anywhere but into a
/// temporary folder.
pub async fn verify(pair: &Pair, world: &World, options: Options) -> Report {
    let standby = derive(pair, Side::Secondary, Dr::Standby, false);
    let active = derive(pair, Side::Primary, Dr::Active, false);
    let deadline = Deadline::after(options.patience);
    // In the disaster it is dark, and everybody would wait for nothing but that.
    let primarys = Deadline::after(options.patience / PRIMARY_TIMEOUT_DIVISOR);
    let at = Utc::now();
    let ((ours, before, recovery), services, theirs, azure, asked) = futures::join!(
        async {
            let ours = world::region(&world.standby, pair, &standby, deadline).await;
            let before = [
                checks::environment(&standby, &ours.variables),
                checks::secrets(&standby, &ours.secrets),
            ];
            let recovery = match &world.standby {
                Ok(region) => {
                    let declared = ours.variables.known().map_or(&[][..], Vec::as_slice);
                    let variables = effective(&standby, declared);
                    let deadline = Deadline::after(options.patience);
                    let environment = Environment::read(region, &variables, deadline).await;
                    of_standby(pair, &environment, &ours, &before, options).await
                }
                Err(why) => (unknown(&why.to_string()), Figures::default()),
            };
            (ours, before, recovery)
        },
        world::services(&world.standby, deadline),
        world::region(&world.primary, pair, &active, primarys),
        world::traffic(&world.azure, pair, deadline),
        world::permissions(&world.standby, pair, &standby, deadline),
    );
    let mut findings = of_regions(pair, &standby, &ours, &theirs, at);
    findings.extend(before);
    findings.push(checks::services(pair, &ours.pools, &services));
    findings.extend(of_azure(pair, &azure));
    findings.push(checks::permissions(&asked));
    let (recovered, mut figures) = recovery;
    findings.extend(recovered);
    figures.at_ms = at.timestamp_millis();
    Report::new(findings, figures, options.strict)
}

fn of_regions(
    pair: &Pair,
    derived: &Derived,
    ours: &RegionFacts,
    theirs: &RegionFacts,
    now: DateTime<Utc>,
) -> Vec<Finding> {
    let tls = pair.tls_secret.as_deref();
    let mut findings = vec![
        checks::operator(pair, derived, &ours.operator),
        checks::nodes(derived, &ours.pools),
        checks::secrets_equal(pair, &theirs.secrets, &ours.secrets),
        checks::versions(&theirs.pools, &ours.pools),
    ];
    findings.extend(ours.kafka.as_ref().map(checks::kafka));
    let certificate = tls.and_then(|name| Some((name, ours.secrets.get(name)?)));
    findings.extend(
        certificate.map(|(name, held)| checks::certificate(name, &pair.global_host, held, now)),
    );
    findings
}

fn of_azure(pair: &Pair, azure: &AzureFacts) -> [Finding; 3] {
    [
        checks::endpoints(pair, &azure.profile),
        checks::traffic_manager(pair, &azure.profile),
        checks::alert(pair, &azure.alert),
    ]
}

/// What the standby would recover, and what would keep it from doing that at all.
async fn of_standby(
    pair: &Pair,
    environment: &Environment,
    ours: &RegionFacts,
    before: &[Finding],
    options: Options,
) -> (Vec<Finding>, Figures) {
    let way = Way {
        pair,
        into: Side::Secondary,
        environment,
        begins_anew: false,
        found_before: None,
    };
    let clean = async {
        let (patience, operator) = (options.patience, &ours.operator);
        let (own, found) = own_bucket(pair, way.into, environment, before, patience).await;
        clean::look(own.as_ref().ok_or(&found), environment, operator, patience).await
    };
    let ((mut findings, figures, _), clean) =
        futures::join!(of_recovery(way, before, options), clean);
    findings.push(clean);
    (findings, figures)
}

/// Nothing is known of the recovery where there is no way to the standby's secrets.
fn unknown(why: &str) -> Vec<Finding> {
    let chain = recovery::CHAIN
        .into_iter()
        .chain([Check::OwnBucket, Check::Clean]);
    chain.map(|check| Finding::unknown(check, why)).collect()
}
