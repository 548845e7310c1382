//! Keys that do not go together.

use super::faults::{changed, complaints};
use super::{AZURE, FOLDER};

#[test]
fn two_regions_must_stay_apart() {
    for (from, to, complaint) in [
        (
            "\"eastus2\"",
            "\"centralus\"",
            "secondary.region: is that of the primary too",
        ),
        (
            "\"aks-secondary\"",
            "\"aks-primary\"",
            "secondary.context: is that of the primary too",
        ),
        (
            "\"sec.eastus2.cloudapp.azure.com\"",
            "\"pri.centralus.cloudapp.azure.com\"",
            "secondary.fqdn: is that of the primary too",
        ),
        (
            "\"sec.eastus2.cloudapp.azure.com\"",
            "\"logs.example.com\"",
            "secondary.fqdn: is the global name",
        ),
        (
            "endpoint_target = \"203.0.113.20\"",
            "endpoint_target = \"203.0.113.10\"",
            "secondary.endpoint_target: is that of the primary too",
        ),
        (
            "endpoint_target = \"203.0.113.20\"",
            "endpoint_target = \"sec.example.com\"",
            "secondary.endpoint_target: is a name, and that of the primary an IPv4 address",
        ),
        (
            "endpoint_target = \"203.0.113.20\"",
            "endpoint_target = \"2001:db8::1\"",
            "secondary.endpoint_target: is an IPv6 address, and that of the primary an IPv4",
        ),
        (
            "ingress.address = \"203.0.113.20\"",
            "ingress.address = \"203.0.113.10\"",
            "secondary.ingress.address: is that of the primary too",
        ),
        (
            "\"sec\"",
            "\"PRI\"",
            "traffic_manager.secondary_endpoint: is the primary's too",
        ),
        (
            "encryption_key = { secret = \"sec-encryption\", key = \"key\" }",
            "encryption_key = { secret = \"sec-encryption\", key = \"key\", copy = \"pri-encryption\" }",
            "secondary.storage.encryption_key.copy: is, in the primary's cluster, the same key of \
             the same secret as primary.storage.encryption_key",
        ),
        (
            "provider = \"azure\"\naccount = \"secondaryacct\"\ncontainer = \
             \"secondarylogscalecontainer\"\nendpoint_base = \
             \"http://127.0.0.1:10000/secondaryacct\"\nobject_key_prefix = \
             \"k41b9c-drsec/\"\naccount_key = { secret = \"sec-storage\", key = \"account\" }",
            "provider = \"folder\"\npath = \"/a\"",
            "secondary.storage.provider: is not that of the primary",
        ),
        (
            "services.ui = \"logs-ui\"",
            "services.ui = \"humio-ui\"",
            "primary.services.ui: is the name of a service that humio-operator makes",
        ),
        (
            "services.ui = \"logs-ui\"",
            "services.ui = \"humio-ingest-cip\"",
            "primary.services.ingest: is that of primary.services.ui too",
        ),
        (
            "pools.ingest.name = \"ingest\"",
            "pools.ingest.name = \"ui\"",
            "primary.pools.ingest.name: is that of primary.pools.ui too",
        ),
        (
            "node_label = \"agentpool=lsuinode\"",
            "node_label = \"agentpool\"",
            "primary.pools.ui.node_label: must be a label of nodes with its value",
        ),
        (
            "tls = false",
            "tls = \"no\"",
            "primary.tls: must be true or false, not text in quotes",
        ),
    ] {
        let complaints = changed(AZURE, from, to);
        assert_eq!(complaints.len(), 1, "{to}: {complaints:?}");
        assert!(
            complaints[0].contains(complaint),
            "{complaint}: {complaints:?}"
        );
    }
}

/// A shared container needs prefixes of which neither begins with the other, by whatever endpoint
/// the account is reached.
#[test]
fn a_shared_container_needs_prefixes_apart() {
    let shared = AZURE
        .replace("\"secondaryacct\"", "\"primaryacct\"")
        .replace("secondarylogscalecontainer", "primarylogscalecontainer");
    assert_eq!(complaints(&shared), [""; 0]);
    for prefix in ["z072ef-drpri/", "z072ef-drpri/a/", ""] {
        let text = shared.replace("k41b9c-drsec/", prefix);
        let complaints = complaints(&text);
        assert_eq!(complaints.len(), 1, "{prefix}");
        assert!(complaints[0].contains("secondary.storage.object_key_prefix: begins with"));
    }
    assert_eq!(
        complaints(&shared.replace("k41b9c-drsec/", "z072ef-drpri2/")),
        [""; 0]
    );
    // In containers of their own, the prefixes may be the same.
    assert_eq!(
        complaints(&AZURE.replace("k41b9c-drsec/", "z072ef-drpri/")),
        [""; 0]
    );
}

#[test]
fn folders_must_not_lie_in_each_other() {
    for path in ["/var/lib/lab/buckets/primary/in", "/var/lib/lab"] {
        let complaints = changed(FOLDER, "/var/lib/lab/buckets/secondary", path);
        assert!(
            complaints[0].contains("lies in the other region's folder"),
            "{complaints:?}"
        );
    }
    let one = FOLDER.replace("buckets/secondary", "buckets/primary");
    assert!(complaints(&one)[0].contains("object_key_prefix: begins with"));
    let apart = one.replace(
        "buckets/primary\"",
        "buckets/primary\", object_key_prefix = \"a/\"",
    );
    let apart = apart.replacen("\"a/\"", "\"b/\"", 1);
    assert_eq!(complaints(&apart), [""; 0]);
}

#[test]
fn times_that_do_not_fit_together() {
    let azure = AZURE.replace("limits = \"lab\"", "limits = \"azure\"");
    let complaints_of = |interval: u32, timeout: u32| {
        let text = azure
            .replace("interval = 1\n", &format!("interval = {interval}\n"))
            .replace("\ntimeout = 1\n", &format!("\ntimeout = {timeout}\n"));
        complaints(&text).len()
    };
    for (interval, timeout) in [(30, 5), (30, 10), (10, 5), (10, 9)] {
        assert_eq!(complaints_of(interval, timeout), 0, "{interval} {timeout}");
    }
    for (interval, timeout) in [(30, 4), (30, 11), (10, 10), (20, 5)] {
        assert_eq!(complaints_of(interval, timeout), 1, "{interval} {timeout}");
    }
    let slow = changed(AZURE, "\ntimeout = 1\n", "\ntimeout = 2\n");
    assert!(
        slow[0].contains("traffic_manager.timeout: is longer than"),
        "{slow:?}"
    );
    let slow = changed(
        AZURE,
        "probe_timeout_seconds = 1",
        "probe_timeout_seconds = 3",
    );
    assert!(
        slow[0].contains("failover.probe_timeout_seconds: is longer"),
        "{slow:?}"
    );
    let many = changed(AZURE, "replication_factor = 2", "replication_factor = 4");
    assert!(
        many[0].contains("is 4, but only 3 nodes hold segments"),
        "{many:?}"
    );
    let bare = changed(
        FOLDER,
        "probe_protocol = \"HTTP\"",
        "probe_protocol = \"HTTPS\"",
    );
    assert!(
        bare[0].contains("tls_secret: is missing, but the traffic manager probes"),
        "{bare:?}"
    );
}

#[test]
fn an_endpoint_must_not_point_to_where_it_came_from() {
    for target in ["logs.lab.test", "logs.trafficmanager.net"] {
        let version = "version = \"0.1.0\"";
        let to = format!("{version}\nendpoint_target = \"{target}\"");
        let complaints = changed(FOLDER, version, &to);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(
            complaints[0].contains("primary.endpoint_target: is the global name"),
            "{complaints:?}"
        );
    }
}
