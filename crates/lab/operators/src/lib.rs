//! What a region does by itself once somebody has said what there should be: the controllers that
//! Kubernetes brings along, and the operators of the log platform and of Kafka.
//!
//! - [`controllers`]: deployments become pods, pods get nodes (which are made when a pool needs
//!   one and go when none does), services get endpoints, claims become bound;
//! - [`humio`]: a `HumioCluster` becomes pods, as humio-operator does it;
//! - [`strimzi`]: a `Kafka` becomes a pod set and pods, as strimzi-cluster-operator does it.
//!
//! # How they work
//! What to do is a pure function of what is wanted and what is there (`plan` in each module), tried
//! by tables and property tests. Around it is a kube-rs controller that waits for changes; nothing
//! polls. A run reads the API again instead of its own cache, does one thing at a time, and reads
//! again, so it never acts upon a world from before its own last write.
//!
//! Nothing is remembered outside the API: a controller may be killed between any two writes, or
//! run twice, and the end is the same. Names of what is made follow from what was seen, so two of
//! them that see the same make the same, and one is told that it exists already.

mod api;
mod condition;
pub mod controllers;
mod drive;
mod fingerprint;
pub mod humio;
mod invalid;
mod pod;
pub mod strimzi;
