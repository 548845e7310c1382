//! Clients that are not ours: `dig` and `kdig` ask the DNS, `curl` drives the API as
//! `az rest` would.
//!
//! What `az` itself does is in `az.rs`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::server::{GROUP, Server, VERSION, profile};

/// Whether a program is on the `PATH`; without it the test is skipped.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|it| it.join(program).is_file());
    if !found {
        backstay_testkit::skip(&format!("{program} is not on the PATH"));
    }
    found
}

async fn run(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// A zone with a name of every kind.
async fn zone() -> Server {
    let server = Server::start().await;
    let api = &server.api;
    api.put(
        "v4",
        profile("v4", 9, 9, &[("e", "192.0.2.7"), ("f", "192.0.2.8")]),
    )
    .await;
    api.put("v6", profile("v6", 9, 9, &[("e", "2001:db8::7")]))
        .await;
    api.put("name", profile("name", 9, 9, &[("e", "west.example.net")]))
        .await;
    let mut off = profile("off", 9, 9, &[("e", "192.0.2.9")]);
    off["properties"]["profileStatus"] = json!("Disabled");
    api.put("off", off).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_and_kdig_get_their_answers() {
    for program in ["dig", "kdig"] {
        if !has(program) {
            continue;
        }
        let server = zone().await;
        let address = server.api.addresses.dns[0];
        let (at, port) = (format!("@{}", address.ip()), address.port().to_string());
        let ask = |arguments: &'static [&'static str]| {
            let (at, port) = (at.clone(), port.clone());
            async move {
                let tries = if program == "dig" {
                    "+tries=3"
                } else {
                    "+retry=2"
                };
                let common = [at.as_str(), "-p", &port, tries, "+timeout=5"];
                let all: Vec<&str> = common.iter().chain(arguments).copied().collect();
                run(program, &all).await
            }
        };
        let short: [(&[&str], &str); 13] = [
            (&["+short", "v4.tm.test", "A"], "192.0.2.7\n"),
            (&["+short", "+tcp", "v4.tm.test", "A"], "192.0.2.7\n"),
            (&["+short", "+noedns", "v4.tm.test", "A"], "192.0.2.7\n"),
            (
                &["+short", "+bufsize=4096", "V4.TM.Test", "A"],
                "192.0.2.7\n",
            ),
            (&["+short", "v4.tm.test", "AAAA"], ""),
            (&["+short", "v6.tm.test", "AAAA"], "2001:db8::7\n"),
            (&["+short", "v6.tm.test", "A"], ""),
            (&["+short", "name.tm.test", "A"], "west.example.net.\n"),
            (&["+short", "name.tm.test", "CNAME"], "west.example.net.\n"),
            (
                &["+short", "+tcp", "name.tm.test", "AAAA"],
                "west.example.net.\n",
            ),
            (&["+short", "tm.test", "NS"], "ns1.tm.test.\n"),
            (&["+short", "ns1.tm.test", "A"], "127.0.0.1\n"),
            (&["+short", "off.tm.test", "A"], ""),
        ];
        for (arguments, expected) in short {
            assert_eq!(ask(arguments).await, expected, "{program} {arguments:?}");
        }
        let soa = ask(&["+short", "tm.test", "SOA"]).await;
        assert!(
            soa.starts_with("ns1.tm.test. hostmaster.tm.test. "),
            "{soa}"
        );
        // Which part of the whole answer says what.
        let full: [(&[&str], &[&str]); 5] = [
            (&["v4.tm.test"], &["NOERROR", " aa"]),
            (&["nowhere.tm.test"], &["NXDOMAIN", " aa", "SOA"]),
            (&["off.tm.test"], &["NXDOMAIN", "SOA"]),
            (&["www.example.org"], &["REFUSED"]),
            (&["tm.test", "TXT", "CH"], &["REFUSED"]),
        ];
        for (arguments, expected) in full {
            let text = ask(arguments).await;
            for part in expected {
                assert!(
                    text.contains(part),
                    "{program} {arguments:?}: no {part} in {text}"
                );
            }
            assert!(
                !text.contains(" ra") || !text.contains("flags: qr aa rd ra"),
                "{text}"
            );
            let malformed = text.to_lowercase();
            assert!(
                !malformed.contains("malformed") && !malformed.contains("warning: id"),
                "{text}"
            );
        }
        server.stop().await;
    }
}

pub struct Curl {
    pub base: String,
    pub token: String,
    pub more: Vec<OsString>,
}

impl Curl {
    /// Returns the status code, the ETag and the body.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[&str],
    ) -> (u16, String, Value) {
        let mut command = Command::new("curl");
        command
            .args([
                "--silent",
                "--show-error",
                "--noproxy",
                "*",
                "--max-time",
                "60",
            ])
            .args([
                "--write-out",
                "\n%{http_code} %header{etag}",
                "--request",
                method,
            ])
            .args(&self.more);
        for header in headers {
            command.args(["--header", header]);
        }
        if !self.token.is_empty() {
            command.args(["--header", &format!("Authorization: Bearer {}", self.token)]);
        }
        if let Some(body) = body {
            command.args([
                "--header",
                "Content-Type: application/json",
                "--data",
                &body.to_string(),
            ]);
        }
        command.arg(format!("{}{path}", self.base));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{method} {path}: {text} {said}");
        let (body, end) = text.rsplit_once('\n').unwrap();
        let (code, etag) = end.split_once(' ').unwrap();
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        (code.parse().unwrap(), etag.to_owned(), body)
    }
}

pub fn code(body: &Value) -> &str {
    assert!(body["error"]["message"].is_string(), "{body}");
    body["error"]["code"].as_str().unwrap()
}

/// The calls of `az network traffic-manager`, and all that can be wrong with them.
#[tokio::test(flavor = "multi_thread")]
async fn curl_drives_the_api_as_az_rest_would() {
    if !has("curl") {
        return;
    }
    let server = Server::start().await;
    let mut curl = Curl {
        base: server.api.addresses.arm.clone(),
        token: server.api.token.clone(),
        more: Vec::new(),
    };
    let at = |rest: &str| format!("{GROUP}{rest}?api-version={VERSION}");
    let body = profile(
        "logs",
        9,
        9,
        &[("primary", "192.0.2.7"), ("secondary", "192.0.2.8")],
    );

    // Without a token nothing is told, not even what there is.
    let token = std::mem::take(&mut curl.token);
    for path in [
        at("/p"),
        at(""),
        "/".to_owned(),
        "/subscriptions".to_owned(),
    ] {
        let (status, _, answer) = curl.call("GET", &path, None, &[]).await;
        assert_eq!(
            (status, code(&answer)),
            (401, "AuthenticationFailed"),
            "{path}"
        );
    }
    curl.token = "wrong".to_owned();
    let (status, _, answer) = curl.call("GET", &at("/p"), None, &[]).await;
    assert_eq!((status, code(&answer)), (401, "InvalidAuthenticationToken"));
    curl.token = token;

    let (status, _, answer) = curl.call("GET", &at("/p"), None, &[]).await;
    assert_eq!((status, code(&answer)), (404, "ResourceNotFound"));
    let (status, _, answer) = curl.call("PATCH", &at("/p"), Some(&json!({})), &[]).await;
    assert_eq!((status, code(&answer)), (404, "ResourceNotFound"));
    let (status, _, answer) = curl.call("GET", &format!("{GROUP}/p"), None, &[]).await;
    assert_eq!((status, code(&answer)), (400, "MissingApiVersionParameter"));
    let (status, _, answer) = curl
        .call(
            "GET",
            &format!("{GROUP}/p?api-version=1999-01-01"),
            None,
            &[],
        )
        .await;
    assert_eq!((status, code(&answer)), (400, "InvalidResourceType"));
    let (status, _, answer) = curl.call("POST", &at("/p"), None, &[]).await;
    assert_eq!((status, code(&answer)), (405, "MethodNotAllowed"));

    // Made once, changed the second time.
    let none = ["If-None-Match: *"];
    let (status, made, shown) = curl.call("PUT", &at("/p"), Some(&body), &none).await;
    assert_eq!(status, 201);
    assert_eq!(shown["properties"]["provisioningState"], "Succeeded");
    assert_eq!(shown["type"], "Microsoft.Network/trafficManagerProfiles");
    let (status, _, answer) = curl.call("PUT", &at("/p"), Some(&body), &none).await;
    assert_eq!((status, code(&answer)), (412, "PreconditionFailed"));
    let (status, same, _) = curl.call("PUT", &at("/P"), Some(&body), &[]).await;
    assert_eq!((status, &same), (200, &made));

    // What is read can be sent back, by the path in any case.
    let upper = at("/p").replace("trafficManagerProfiles", "trafficmanagerprofiles");
    let (status, _, read) = curl.call("GET", &upper, None, &[]).await;
    assert_eq!(status, 200);
    let (status, same, _) = curl.call("PUT", &upper, Some(&read), &[]).await;
    assert_eq!((status, &same), (200, &made));

    // Two who change the same: the second is told.
    let ttl = json!({ "properties": { "dnsConfig": { "ttl": 7 } } });
    let old = format!("If-Match: {made}");
    let (status, changed, _) = curl.call("PATCH", &at("/p"), Some(&ttl), &[&old]).await;
    assert_eq!(status, 200);
    assert_ne!(changed, made);
    for method in ["PATCH", "DELETE", "PUT"] {
        let sent = (method != "DELETE").then_some(if method == "PUT" { &body } else { &ttl });
        let (status, _, answer) = curl.call(method, &at("/p"), sent, &[&old]).await;
        assert_eq!(
            (status, code(&answer)),
            (412, "PreconditionFailed"),
            "{method}"
        );
    }

    // As `az network traffic-manager endpoint update` does it: read, change, put.
    let place = at("/p/ExternalEndpoints/primary");
    let (_, etag, mut endpoint) = curl.call("GET", &place, None, &[]).await;
    endpoint["properties"]["endpointStatus"] = json!("Disabled");
    let condition = format!("If-Match: {etag}");
    let (status, _, shown) = curl
        .call("PUT", &place, Some(&endpoint), &[&condition])
        .await;
    assert_eq!(status, 200);
    assert_eq!(shown["properties"]["endpointMonitorStatus"], "Disabled");
    assert_eq!(server.api.resolve("logs").await, ["192.0.2.8"]);
    let (_, _, shown) = curl
        .call("GET", &at("/p/externalEndpoints/primary"), None, &[])
        .await;
    assert_eq!(shown["properties"]["endpointStatus"], "Disabled");

    // Azure refuses a PATCH of the list; taken as the whole list, it would delete the others.
    for name in ["endpoints", "Endpoints"] {
        for list in [json!([]), json!(null), json!([{ "name": "primary" }])] {
            let body = json!({ "properties": { name: list } });
            let (status, _, answer) = curl.call("PATCH", &at("/p"), Some(&body), &[]).await;
            assert_eq!((status, code(&answer)), (400, "BadRequest"), "{body}");
            assert!(answer.to_string().contains("Please use PUT"), "{answer}");
        }
    }
    let (_, _, after) = curl.call("GET", &at("/p"), None, &[]).await;
    let endpoints = after["properties"]["endpoints"].as_array();
    assert_eq!(endpoints.map(Vec::len), Some(2), "{after}");

    let third = json!({ "properties": { "target": "192.0.2.9" } });
    let (status, _, shown) = curl
        .call("PUT", &at("/p/externalEndpoints/third"), Some(&third), &[])
        .await;
    assert_eq!((status, &shown["properties"]["priority"]), (201, &json!(3)));
    let (status, ..) = curl
        .call("DELETE", &at("/p/externalEndpoints/third"), None, &[])
        .await;
    assert_eq!(status, 200);
    let (status, ..) = curl
        .call("DELETE", &at("/p/externalEndpoints/third"), None, &[])
        .await;
    assert_eq!(status, 204);
    let (status, _, answer) = curl
        .call("GET", &at("/p/externalEndpoints/third"), None, &[])
        .await;
    assert_eq!((status, code(&answer)), (404, "ResourceNotFound"));
    let (status, _, answer) = curl
        .call("PUT", &at("/q/externalEndpoints/third"), Some(&third), &[])
        .await;
    assert_eq!((status, code(&answer)), (404, "ParentResourceNotFound"));
    let (status, _, answer) = curl
        .call("PUT", &at("/p/azureEndpoints/third"), Some(&third), &[])
        .await;
    assert_eq!((status, code(&answer)), (400, "BadRequest"));

    // What is not offered, and what is not JSON.
    let mut weighted = body.clone();
    weighted["properties"]["trafficRoutingMethod"] = json!("Weighted");
    let (status, _, answer) = curl.call("PUT", &at("/w"), Some(&weighted), &[]).await;
    assert_eq!((status, code(&answer)), (400, "BadRequest"));
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("Priority")
    );
    let (status, _, answer) = curl.call("PUT", &at("/w"), Some(&json!([])), &[]).await;
    assert_eq!((status, code(&answer)), (400, "InvalidRequestContent"));
    // A name server's name is taken, too.
    let mut server_name = body.clone();
    server_name["properties"]["dnsConfig"]["relativeName"] = json!("NS1");
    let (status, _, answer) = curl.call("PUT", &at("/w"), Some(&server_name), &[]).await;
    assert_eq!((status, code(&answer)), (400, "BadRequest"));
    // The name is taken.
    let (status, _, answer) = curl.call("PUT", &at("/w"), Some(&body), &[]).await;
    assert_eq!((status, code(&answer)), (400, "BadRequest"));

    for path in [at(""), at("").replace("/resourceGroups/dr", "")] {
        let (status, _, listed) = curl.call("GET", &path, None, &[]).await;
        assert_eq!(
            (status, listed["value"].as_array().unwrap().len()),
            (200, 1)
        );
    }
    let elsewhere = at("").replace("/dr/", "/other/");
    let (_, _, listed) = curl.call("GET", &elsewhere, None, &[]).await;
    assert_eq!(listed["value"], json!([]));
    let (_, _, listed) = curl
        .call("GET", "/subscriptions?api-version=2022-12-01", None, &[])
        .await;
    assert_eq!(listed["value"][0]["subscriptionId"], "5e55");
    server.stop().await;
}

/// A certificate and its key in files.
pub fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (cert, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_the_api_speaks_tls_alone() {
    if !has("curl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(folder.path());
    let tls = (cert.clone(), key);
    let server = Server::with(|config| config.tls = Some(tls)).await;
    let mut curl = Curl {
        base: server.api.addresses.arm.clone(),
        token: server.api.token.clone(),
        more: vec!["--cacert".into(), cert.into()],
    };
    assert!(curl.base.starts_with("https://"));
    // One that connects and says nothing holds up nobody.
    let address = curl.base.trim_start_matches("https://").to_owned();
    let _silent = std::net::TcpStream::connect(&address).unwrap();
    let path = format!("{GROUP}?api-version={VERSION}");
    let (status, _, listed) = curl.call("GET", &path, None, &[]).await;
    assert_eq!((status, &listed["value"]), (200, &json!([])));
    curl.base = format!("http://{address}");
    let plain = Command::new("curl")
        .args(["--silent", "--max-time", "20", &curl.base])
        .output();
    assert!(!plain.unwrap().status.success());
    server.stop().await;
}
