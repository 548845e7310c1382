//! What is wrong with a file, and what is said about it.

use super::{AZURE, FOLDER, Origin, Pair, PairError, Path, parse, with};

/// Replaces one text in a file that is right, and answers with the complaints.
pub(super) fn changed(text: &str, from: &str, to: &str) -> Vec<String> {
    assert!(text.contains(from), "the fixture has no {from}");
    complaints(&text.replacen(from, to, 1))
}

pub(super) fn complaints(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn line_of(text: &str, what: &str) -> usize {
    text.lines().position(|line| line.contains(what)).unwrap() + 1
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_what_was_meant() {
    let line = line_of(AZURE, "account = \"primaryacct\"");
    assert_eq!(
        changed(
            AZURE,
            "account = \"primaryacct\"",
            "acount = \"primaryacct\""
        ),
        [
            format!(
                "line {line}: primary.storage.acount: unknown key; did you mean \
                 `primary.storage.account`?"
            ),
            "primary.storage.account: is missing; set it to the storage account".to_owned(),
        ]
    );
    // A table of unknown name is one problem, not one for each of its keys.
    let text = format!("{AZURE}\n[failovr]\ncooldown_seconds = 1\nx.y = 2\n");
    let line = line_of(&text, "[failovr]");
    assert_eq!(
        complaints(&text),
        [format!(
            "line {line}: failovr: unknown key; did you mean `failover`?"
        )]
    );
    // In the wrong table.
    let text = AZURE.replace("[failover]\n", "[failover]\nttl = 60\n");
    let line = line_of(&text, "ttl = 60");
    assert_eq!(
        complaints(&text),
        [format!(
            "line {line}: failover.ttl: unknown key; did you mean `traffic_manager.ttl`?"
        )]
    );
    // Like nothing.
    let text = AZURE.replace("[failover]\n", "[failover]\nzzzzzzzzzz = 60\n");
    assert!(
        complaints(&text)[0].ends_with(
            "unknown key; known here are cooldown_seconds, crash_loop_seconds, \
             pre_failover_failure_seconds, probe_interval_seconds, probe_timeout_seconds, \
             recovered_seconds"
        ),
        "{:?}",
        complaints(&text)
    );
}

#[test]
fn an_unknown_variable_is_refused_with_what_was_meant() {
    let problems = with(AZURE, &[("BACKSTAY_PAIR__NOTHING__LIKE_IT", "1")]).unwrap_err();
    assert_eq!(
        problems[0].message,
        "no key of a pair is called so; remove the variable"
    );
    let problems = with(AZURE, &[("BACKSTAY_PAIR__FAILOVER__COOLDOWN_SECOND", "1")]).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "BACKSTAY_PAIR__FAILOVER__COOLDOWN_SECOND: failover.cooldown_second: no key of a pair is \
         called so; did you mean BACKSTAY_PAIR__FAILOVER__COOLDOWN_SECONDS?"
    );
    // What goes with one provider is said to, when it is overridden with another.
    let problems = with(
        FOLDER,
        &[("BACKSTAY_PAIR__PRIMARY__STORAGE__ACCOUNT", "abc")],
    )
    .unwrap_err();
    assert_eq!(problems[0].message, "goes with another provider; remove it");
}

#[test]
fn variables_that_cannot_be_meant() {
    let problems = with(AZURE, &[("BACKSTAY_PAIR__name", "x")]).unwrap_err();
    assert!(problems[0].message.contains("is in capitals"));
    let name = std::ffi::OsString::from("BACKSTAY_PAIR__NAME");
    let value = std::os::unix::ffi::OsStringExt::from_vec(vec![0xff]);
    let error = Pair::parse(AZURE, Path::new("a"), [(name, value)]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("BACKSTAY_PAIR__NAME: name: its value is not UTF-8")
    );
    // Beside ours there may be anything.
    let other = std::os::unix::ffi::OsStringExt::from_vec(vec![0xff]);
    assert!(Pair::parse(AZURE, Path::new("a"), [(other, "x".into())]).is_ok());
}

#[test]
fn values_of_another_type_or_out_of_range() {
    for (from, to, complaint) in [
        (
            "cooldown_seconds = 11",
            "cooldown_seconds = \"11\"",
            "failover.cooldown_seconds: must be a whole number from 0 to 86400, not text in quotes",
        ),
        (
            "cooldown_seconds = 11",
            "cooldown_seconds = -1",
            "failover.cooldown_seconds: must be a whole number from 0 to 86400",
        ),
        (
            "cooldown_seconds = 11",
            "cooldown_seconds = 4294967307",
            "failover.cooldown_seconds: must be a whole number from 0 to 86400",
        ),
        (
            "ttl = 1",
            "ttl = 1.5",
            "traffic_manager.ttl: must be a whole number from 0 to 2147483647, not a number with a point",
        ),
        (
            "name = \"drpair\"",
            "name = 3",
            "name: must be text in quotes, not a number",
        ),
        (
            "name = \"drpair\"",
            "name.first = \"drpair\"",
            "name: must be text in quotes, not a table",
        ),
        (
            "ingress.address = \"203.0.113.10\"\ningress.http_port = 8080\ningress.https_port = 8443",
            "ingress = \"203.0.113.10\"",
            "primary.ingress: must be a table, not text in quotes",
        ),
        (
            "provider = \"azure\"",
            "provider = \"aws\"",
            "primary.storage.provider: must be azure or folder",
        ),
        (
            "QUERY_HINT = \"a \\\"quoted\\\" $${word} <&>\"",
            "QUERY_HINT = [1]",
            "environment.QUERY_HINT: must be text, a number or a flag, not a list",
        ),
        (
            "name = \"drpair\"",
            "name = \"drpair\"\n\"odd key\" = 1",
            "unknown key \"odd key\": no key of a pair needs quotes; remove it",
        ),
    ] {
        let complaints = changed(AZURE, from, to);
        let found = complaints
            .iter()
            .any(|it| it.starts_with("line ") && it.ends_with(complaint));
        assert!(found, "{complaint}: {complaints:?}");
    }
}

#[test]
fn names_that_somebody_will_refuse() {
    for (from, to, complaint) in [
        (
            "\ncluster = \"humio\"",
            "\ncluster = \"Humio\"",
            "cluster: must be at most 40",
        ),
        (
            "\ncluster = \"humio\"",
            "\ncluster = \"1humio\"",
            "cluster: must be at most 40",
        ),
        (
            "namespace = \"logging\"",
            "namespace = \"a_b\"",
            "namespace: must be a DNS label",
        ),
        (
            "tls_secret = \"logs-tls\"",
            "tls_secret = \"-\"",
            "tls_secret: must be the name of",
        ),
        (
            "\"logs.example.com\"",
            "\"logs.example.com.\"",
            "global_host: must be a full host name",
        ),
        (
            "\"logs.example.com\"",
            "\"localhost\"",
            "global_host: must be a full host name",
        ),
        (
            "\"logs.example.com\"",
            "\"10.0.0.1\"",
            "global_host: must be a full host name",
        ),
        (
            "\"centralus\"",
            "\"central/us\"",
            "primary.region: must be an Azure region",
        ),
        ("\"aks-primary\"", "\"--all\"", "primary.context: must be"),
        (
            "\"rg-pri\"",
            "\"rg.\"",
            "primary.resource_group: must be a resource group",
        ),
        (
            "account = \"primaryacct\"",
            "account = \"Primary\"",
            "primary.storage.account: must be",
        ),
        (
            "account = \"primaryacct\"",
            "account = \"ab\"",
            "primary.storage.account: must be",
        ),
        (
            "\"primarylogscalecontainer\"",
            "\"a--b\"",
            "primary.storage.container: must be",
        ),
        (
            "\"z072ef-drpri/\"",
            "\"z072ef//drpri\"",
            "object_key_prefix: must be empty, or",
        ),
        (
            "\"z072ef-drpri/\"",
            "\"/z/\"",
            "object_key_prefix: must be empty, or",
        ),
        (
            "\"z072ef-drpri/\"",
            "\"a/../\"",
            "object_key_prefix: must be empty, or",
        ),
        (
            "\"https://primaryacct.blob.core.windows.net\"",
            "\"https://primaryacct.blob.core.windows.net/?sig=x\"",
            "endpoint_base: must be an http or https URL",
        ),
        (
            "\"https://primaryacct.blob.core.windows.net\"",
            "\"primaryacct.blob.core.windows.net\"",
            "endpoint_base: must be an http or https URL",
        ),
        (
            "version = \"1.2.3\"",
            "version = \"a:b\"",
            "primary.version: must be an image's tag",
        ),
        (
            "\"11111111-2222-3333-4444-555555555555\"",
            "\"mine\"",
            "traffic_manager.subscription: must be a subscription's id",
        ),
        (
            "\"an alert\"",
            "\"an/alert\"",
            "traffic_manager.alert_name: must be",
        ),
        (
            "ingress.address = \"203.0.113.10\"",
            "ingress.address = \"0.0.0.0\"",
            "address: must be",
        ),
        (
            "probe_path = \"/api",
            "probe_path = \"api",
            "probe_path: must be a path",
        ),
        (
            "QUERY_HINT",
            "1A",
            "environment.1A: must be a variable's name",
        ),
        (
            "QUERY_HINT",
            "ENABLE_ALERTS",
            "environment.ENABLE_ALERTS: is derived from the pair",
        ),
        (
            "QUERY_HINT",
            "AZURE_STORAGE_BUCKET",
            "AZURE_STORAGE_BUCKET: is derived from the pair",
        ),
        (
            "QUERY_HINT",
            "AZURE_RECOVER_FROM_REPLACE_BUCKET",
            "AZURE_RECOVER_FROM_REPLACE_BUCKET: is never set",
        ),
        (
            "QUERY_HINT",
            "SMTP_PASSWORD",
            "environment.SMTP_PASSWORD: looks like a credential",
        ),
    ] {
        let complaints = changed(AZURE, from, to);
        assert_eq!(complaints.len(), 1, "{to}: {complaints:?}");
        assert!(
            complaints[0].contains(complaint),
            "{complaint}: {complaints:?}"
        );
    }
    assert_eq!(changed(AZURE, "QUERY_HINT", "SMTP_PASSWORD_FILE"), [""; 0]);
    assert_eq!(
        changed(
            FOLDER,
            "\"/var/lib/lab/buckets/primary\"",
            "\"buckets/primary\""
        ),
        [format!(
            "line {}: primary.storage.path: must be an absolute path without a slash at its end, \
             without . and .. and $",
            line_of(FOLDER, "buckets/primary")
        )]
    );
}

#[test]
fn every_problem_is_listed_in_the_order_of_the_file() {
    let text = AZURE
        .replace("ttl = 1", "ttl = \"x\"")
        .replace("\ncluster = \"humio\"", "\ncluster = \"Humio\"")
        .replace("region = \"eastus2\"\n", "");
    let problems = with(&text, &[("BACKSTAY_PAIR__NAME", "A")]).unwrap_err();
    let keys: Vec<&str> = problems.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(
        keys,
        ["cluster", "traffic_manager.ttl", "name", "secondary.region"]
    );
}

/// A key where its name belongs, and what else people do, must not end in a log.
#[test]
fn no_complaint_quotes_a_value() {
    const SECRET: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq==";
    let quoted = format!("\"{SECRET}\"");
    for from in [
        "\"pri-encryption\"",
        "\"primaryacct\"",
        "\"drpair\"",
        "\"1.2.3\"",
        "\"azure\"",
    ] {
        for to in [
            quoted.clone(),
            format!("\"{SECRET}"),
            format!("{SECRET}\""),
            format!("{quoted} x"),
            SECRET.to_owned(),
        ] {
            let complaints = changed(AZURE, from, &to).join("\n");
            assert!(!complaints.is_empty());
            assert!(!complaints.contains("Eby8vdM02xNO"), "{complaints}");
        }
    }
    let problems = with(
        AZURE,
        &[(
            "BACKSTAY_PAIR__PRIMARY__STORAGE__ACCOUNT_KEY__SECRET",
            SECRET,
        )],
    );
    assert!(!format!("{problems:?}").contains("Eby8vdM02xNO"));
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    let line = line_of(AZURE, "cluster = \"humio\"");
    let complaints = changed(AZURE, "cluster = \"humio\"", "cluster = \"humio");
    assert!(
        complaints[0].starts_with(&format!("line {line}: not valid TOML: ")),
        "{complaints:?}"
    );
    let twice = format!("{AZURE}\n[failover]\n");
    let problem = &parse(&twice).unwrap_err()[0];
    assert_eq!(problem.origin, Origin::Line(twice.lines().count()));
    // Windows writes these.
    let windows = format!("\u{feff}{}", AZURE.replace('\n', "\r\n"));
    assert_eq!(parse(&windows), parse(AZURE));
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("backstay.toml");
    let read = |path: &Path| Pair::read(path, []).unwrap_err();
    assert!(matches!(read(&path), PairError::Read { .. }));
    assert!(
        read(&path)
            .to_string()
            .contains("deploy/backstay.example.toml")
    );
    std::fs::write(&path, b"name = \"\xff\"").unwrap();
    assert!(matches!(read(&path), PairError::NotText { byte: 8, .. }));
    std::fs::write(&path, vec![b'\n'; 1 << 20]).unwrap();
    assert!(matches!(read(&path), PairError::TooLarge { .. }));
    assert!(matches!(read(folder.path()), PairError::Read { .. }));
    std::fs::write(&path, "").unwrap();
    let text = read(&path).to_string();
    assert!(
        text.contains("backstay.toml describes no pair:\n  name: is missing; set it to"),
        "{text}"
    );
    // Another file: not a line for each of its keys.
    let other: String = (0..2000).map(|it| format!("key{it} = 1\n")).collect();
    std::fs::write(&path, other).unwrap();
    assert!(read(&path).to_string().lines().count() < 80);
}
