//! What the API counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: u16,
}

/// Requests, by their answers.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<CodeLabel, Counter>,
}

impl Metrics {
    /// All at zero, and registered.
    pub fn new(registry: &mut Registry) -> Self {
        let requests = Family::<CodeLabel, Counter>::default();
        registry.register(
            "arm_requests",
            "Requests to the Resource Manager API, by status code",
            requests.clone(),
        );
        Self { requests }
    }

    pub(crate) fn requested(&self, code: u16) {
        self.requests.get_or_create(&CodeLabel { code }).inc();
    }
}
