//! For tests: both regions of a pair with their buckets in folders, and a real Kubernetes API server
//! that shows one of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backstay_bucket::{Bucket, BucketConfig, Role, Secret};
use backstay_cluster::{Access, Region};
use backstay_global::recovery::{LoadOptions, Loaded, RecoverFrom, load};
use backstay_global::{Event, Host, Repository, Segment, SegmentId, snapshot};
use backstay_journal::{CommitOptions, Reading, StreamId, WriterId};
use backstay_kinds::{HUMIO_CLUSTER, KAFKA};
use backstay_kubeapi::{Kubeconfig, NoPods, Server, ServerOptions};
use backstay_pair::{BucketLocation, EnvVar, Manifest, Pair, SecretKey, Side, derive, manifests};
use bytes::Bytes;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::POLICY;
use crate::verification::Options;

pub(crate) const OPTIONS: Options = Options {
    deep: false,
    sample: 20,
    seed: 7,
    strict: false,
    patience: Duration::from_secs(60),
};

/// That a repository was made.
pub(crate) fn repository(name: &str) -> Event {
    Event::RepositoryCreated {
        repository: Repository {
            id: name.into(),
            name: name.to_owned(),
            description: None,
            retention_days: None,
            retention_bytes: None,
            created_ms: 0,
            extra: Default::default(),
        },
    }
}

/// The Kubernetes of one region, as it is provisioned.
pub(crate) struct Cluster {
    pub(crate) region: Region,
    side: Side,
    client: kube::Client,
    _server: Server,
    _folder: TempDir,
}

impl Cluster {
    pub(crate) async fn of(pair: &Pair, side: Side) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = ServerOptions::new(folder.path().join("api"), Arc::new(NoPods));
        let server = Server::start(options).await.unwrap();
        let context = server.context("here", "admin", &pair.namespace).unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let contexts = vec![context];
        Kubeconfig { contexts }.write(&kubeconfig).unwrap();
        let access = Access::Kubeconfig {
            path: Some(kubeconfig.clone()),
            context: "here".to_owned(),
        };
        let region = Region::connect(&access, &pair.namespace, POLICY).await;
        let config = kube::config::Kubeconfig::read_from(&kubeconfig).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(config, &options);
        let cluster = Self {
            region: region.unwrap(),
            side,
            client: kube::Client::try_from(config.await.unwrap()).unwrap(),
            _server: server,
            _folder: folder,
        };
        let derived = derive(pair, side, side.usual(), false);
        for document in manifests(pair, &derived) {
            cluster.make(document).await;
        }
        for secret in &derived.secrets {
            let of = |of: Side| held(pair, side, of).secret == secret.name;
            let value = Side::BOTH.into_iter().find(|it| of(*it)).map_or("x", key);
            let data = secret.keys.iter().map(|it| (it.clone(), json!(value)));
            let data: serde_json::Map<String, Value> = data.collect();
            let metadata = json!({ "name": secret.name, "namespace": pair.namespace });
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data,
            });
            cluster.make(secret).await;
        }
        cluster
    }

    fn api(&self, document: &Value) -> Api<DynamicObject> {
        let version = document["apiVersion"].as_str().unwrap();
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let kind = document["kind"].as_str().unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match document["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    async fn make(&self, document: Manifest) {
        let object = serde_json::from_value(document.clone()).unwrap();
        let api = self.api(&document);
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    /// As its operator would say.
    pub(crate) async fn kafka_is_ready(&self, pair: &Pair) {
        let condition = json!({ "type": "Ready", "status": "True" });
        let status = json!({ "status": { "conditions": [condition] } });
        let document = json!({
            "apiVersion": KAFKA.api_version, "kind": KAFKA.kind,
            "metadata": { "namespace": pair.namespace },
        });
        let api = self.api(&document);
        api.patch_status(
            &pair.region(self.side).kafka,
            &PatchParams::default(),
            &Patch::Merge(status),
        )
        .await
        .unwrap();
    }

    pub(crate) async fn patch(&self, kind: (&str, &str), name: &str, patch: Value) {
        let namespace = self.region.namespace();
        let document = json!({
            "apiVersion": kind.0, "kind": kind.1, "metadata": { "namespace": namespace },
        });
        let api = self.api(&document);
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// The HumioCluster's own variables.
    pub(crate) async fn declare(&self, pair: &Pair, variables: &[EnvVar]) {
        let region = pair.region(self.side);
        let patch = json!({ "spec": { region.environment_field.as_str(): variables } });
        let kind = (HUMIO_CLUSTER.api_version, HUMIO_CLUSTER.kind);
        self.patch(kind, &region.cluster, patch).await;
    }

    pub(crate) async fn set_key(&self, pair: &Pair, of: Side, value: &str) {
        let at = held(pair, self.side, of);
        let patch = json!({ "stringData": { at.key.clone(): value } });
        self.patch(("v1", "Secret"), &at.secret, patch).await;
    }
}

/// Where the cluster of `side` has what the objects of the region `of` are encrypted with.
fn held(pair: &Pair, side: Side, of: Side) -> &SecretKey {
    let key = &pair.region(of).storage.encryption_key;
    key.secret().unwrap().seen_from(side, of)
}

/// What a region's objects are encrypted with.
fn key(side: Side) -> &'static str {
    match side {
        Side::Primary => "the key of the primary",
        Side::Secondary => "the key of the secondary",
    }
}

/// Two buckets in folders, and a pair that names them.
pub(crate) struct Stage {
    pub(crate) pair: Pair,
    folder: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/backstay.example.toml");
        let mut pair = Pair::read(&file, []).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let place = |side: Side| BucketLocation::Folder {
            path: folder.path().join(side.as_str()).display().to_string(),
            container: format!("{side}-bucket"),
        };
        pair.primary.storage.place = place(Side::Primary);
        pair.secondary.storage.place = place(Side::Secondary);
        Self { pair, folder }
    }

    pub(crate) fn path(&self, side: Side) -> PathBuf {
        let storage = &self.pair.region(side).storage;
        let path = self.folder.path().join(side.as_str());
        path.join(storage.object_key_prefix.trim_end_matches('/'))
    }

    fn config(&self, side: Side, role: Role) -> BucketConfig {
        let path = self.folder.path().join(side.as_str());
        let storage = &self.pair.region(side).storage;
        let config = BucketConfig::local(path, Secret::new(key(side)), role);
        BucketConfig {
            container: format!("{side}-bucket"),
            prefix: storage.object_key_prefix.clone(),
            ..config
        }
    }

    pub(crate) async fn bucket(&self, side: Side) -> Bucket {
        Bucket::open(self.config(side, Role::Own)).await.unwrap()
    }

    /// A start of the region's nodes; without a state of its own it recovers from the other one.
    pub(crate) async fn start(&self, side: Side, recover: bool) -> Node {
        let own = self.bucket(side).await;
        let data = tempfile::tempdir().unwrap();
        let options = LoadOptions {
            own: own.clone(),
            recover_from: recover.then(|| RecoverFrom {
                bucket: self.config(side.other(), Role::RecoverFrom),
                replace_region: None,
                replace_bucket: None,
                without_seal: false,
            }),
            data_dir: data.path().to_owned(),
            writer: WriterId(format!("{side}-{}", uuid::Uuid::new_v4().simple())),
            partitions: 1,
            multiple_endpoints: true,
            source_reading: Reading::default(),
        };
        let loaded = load(&options).await.unwrap();
        Node { own, loaded }
    }
}

/// What a node has open.
pub(crate) struct Node {
    own: Bucket,
    loaded: Loaded,
}

impl Node {
    pub(crate) async fn commit(&self, events: Vec<Event>) {
        let log = &self.loaded.log;
        log.commit(|_| Ok(events.clone())).await.unwrap();
    }

    pub(crate) async fn repository(&self, name: &str) {
        self.commit(vec![repository(name)]).await;
    }

    pub(crate) async fn snapshot(&self) {
        let state = self.loaded.log.state();
        snapshot::write(&self.own, &state).await.unwrap();
    }

    /// An acknowledged event that is in no segment yet. Answers with the entry's partition, term and
    /// slot.
    pub(crate) async fn acknowledge(&self, text: &str) -> (u32, u64, u64) {
        let host = Host {
            id: text.into(),
            incarnation: text.to_owned(),
            url: "http://127.0.0.1:1".to_owned(),
            roles: Vec::new(),
            heartbeat: 0,
            started_ms: 0,
            vhost: 1,
            zone: None,
            is_being_evicted: false,
            extra: Default::default(),
            pace_ms: Default::default(),
            settled: Vec::new(),
        };
        let state = self.loaded.log.state();
        let known = state.partitions.first().unwrap();
        let (partition, term) = (known.id, known.term + 1);
        let taken = Event::PartitionTaken {
            partition,
            host: host.id.clone(),
            term,
        };
        self.commit(vec![Event::HostUp { host }, taken]).await;
        let (journal, stream) = (&self.loaded.journal, StreamId::Partition(partition));
        let sealed = journal
            .seal(stream, known.covered, term, &state.cluster_id)
            .await
            .unwrap();
        let writer = journal.writer(stream, sealed, CommitOptions::default());
        let at = writer.append(Bytes::from(text.to_owned())).await.unwrap();
        (partition, term, at.seq)
    }

    /// An acknowledged event, and its segment. Answers with the object's name.
    pub(crate) async fn segment(&self, repository: &str, text: &str) -> String {
        let (partition, term, at) = self.acknowledge(text).await;
        let state = self.loaded.log.state();
        let covered = state.partition(partition).unwrap().covered;
        let event = backstay_search::Event {
            timestamp_ms: 1_700_000_000_000,
            raw: text.to_owned(),
            id: text.to_owned(),
            ..Default::default()
        };
        let written = backstay_search::segment::write(&[event]).unwrap();
        let segment = Segment {
            id: SegmentId::new(),
            repository: repository.into(),
            bucket: state.writable_bucket().unwrap().id,
            size: written.bytes.len() as u64,
            raw_bytes: written.raw_bytes,
            events: written.events,
            start_ms: written.start_ms,
            end_ms: written.end_ms,
            partition,
            from_seq: at,
            to_seq: at + 1,
            rest: None,
        };
        let object = segment.key();
        self.own.put(&object, written.bytes).await.unwrap();
        self.commit(vec![Event::SegmentsPublished {
            partition,
            term,
            covered_from: covered,
            covered_to: at + 1,
            segments: vec![segment],
            term_below: None,
        }])
        .await;
        object
    }
}
