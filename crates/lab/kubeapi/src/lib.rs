//! A small Kubernetes API server: the part of `kube-apiserver` that `kubectl` and kube-rs need to
//! run a log platform's runbook, on a socket, so that whatever drives a real region drives one of
//! the lab by the same code.
//!
//! Resources are JSON documents under shared rules. Built-in kinds are rows of a table (`kind`), with
//! Kubernetes' own schemas; all others come from CustomResourceDefinitions (`definition`). The server holds no opinion about what a Deployment *does*; that
//! belongs to controllers, which are clients of it like any other.
//!
//! # What is kept as Kubernetes keeps it
//! - One version counter for all objects, never going back, not even over a restart. A write is
//!   visible, to readers and to watchers, only once it is durable.
//! - A list, the pages that continue it and the watch that follows it see one history. What was
//!   forgotten is answered with 410 `Expired`, never with a gap.
//! - Optimistic conflicts, finalizers, owner references (background, foreground, orphan), graceful
//!   deletion of pods, namespaces that take their contents with them.
//! - Merge, JSON and strategic merge patch, and server-side apply with owners of fields.
//! - Tokens with roles; refusals in Kubernetes' own words.
//!
//! # What is left out
//! Admission, quotas, protobuf except for what `kubectl create` and `kubectl auth` send of the simplest
//! kinds, webhooks that convert between versions, CEL (the rules of the shipped definitions are checked
//! by hand), most of what Kubernetes checks of built-in kinds beyond types and unknown fields (so a
//! pod's spec may be changed), fields given twice, `attach`, ephemeral containers, `events.k8s.io`,
//! HTTP/2.
//!
//! # Layout
//! - `kind`: the table of kinds and their columns; `definition`: kinds from definitions; `schema`: what
//!   their documents may contain; `selector`, `patch`, `managed`: pure functions
//!   over documents;
//! - `store`: one writer, batches of operations made durable together in an embedded database, and
//!   the bounded history that watches read;
//! - `rules`: what create, update, patch and delete do to a document and to its dependents;
//! - `access`: who may do what; `tls`, `kubeconfig`: how a client gets in;
//! - `http`: the requests; [`PodRuntime`]: what a pod's log, `exec` and `port-forward` ask of
//!   whoever runs the processes.

mod access;
mod definition;
mod document;
mod http;
mod kind;
mod kubeconfig;
mod managed;
mod patch;
mod rules;
mod runtime;
mod schema;
mod selector;
mod server;
mod status;
mod store;
mod tls;

pub use access::{Access, Role, Rule};
pub use definition::crds;
pub use kubeconfig::{Context, Kubeconfig, KubeconfigError};
pub use runtime::{
    Attachment, ByteStream, ExecRequest, Input, LogOptions, NoPods, Output, PodName, PodRuntime,
    RuntimeError,
};
pub use server::{Server, ServerOptions, StartError};
pub use store::StoreError;
pub use tls::TlsError;
