//! Services, and which pods they send to.

use std::collections::BTreeMap;

use serde_json::json;

use crate::lab::{Lab, deadline};

const KIND: (&str, &str) = ("v1", "Service");

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

async fn service(lab: &Lab) {
    let service = json!({
        "metadata": { "name": "logscale" },
        "spec": {
            "selector": { "app.kubernetes.io/name": "humio", "tier": "ui" },
            "ports": [{ "name": "http", "port": 8080 }],
        },
    });
    lab.make(KIND.0, KIND.1, service).await;
}

#[tokio::test]
async fn what_it_selects_is_set_as_a_whole() {
    let lab = Lab::start().await;
    service(&lab).await;
    let region = lab.region("operator").await;
    let shared = labels(&[("app.kubernetes.io/name", "humio"), ("tier", "ui")]);
    let dedicated = labels(&[
        ("app.kubernetes.io/name", "humio"),
        ("humio.com/node-pool", "ui"),
    ]);
    let read = || region.service_selector("logscale", deadline());
    assert_eq!(read().await.unwrap(), shared);
    let api = lab.api(KIND.0, KIND.1).await;
    let version = async || api.get("logscale").await.unwrap().metadata.resource_version;
    let before = version().await;
    region
        .select("logscale", &shared, deadline())
        .await
        .unwrap();
    assert_eq!(version().await, before, "what is so is not written");
    for wanted in [&dedicated, &shared, &labels(&[("x", "y")]), &dedicated] {
        region.select("logscale", wanted, deadline()).await.unwrap();
        assert_eq!(read().await.unwrap(), *wanted);
    }
    // The rest is as it was.
    let spec = api.get("logscale").await.unwrap().data["spec"].clone();
    assert_eq!(spec["ports"][0]["port"], 8080);
    let error = region
        .select("nobody", &shared, deadline())
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[tokio::test]
async fn of_ten_that_set_it_at_once_one_is_last_and_nothing_is_mixed() {
    let lab = Lab::start().await;
    service(&lab).await;
    let region = lab.region("operator").await;
    let wanted = |at: usize| {
        let own = format!("own-{at}");
        labels(&[("who", &at.to_string()), (&own, "x")])
    };
    let setting = (0..10).map(|at| {
        let region = region.clone();
        tokio::spawn(async move { region.select("logscale", &wanted(at), deadline()).await })
    });
    for set in setting.collect::<Vec<_>>() {
        set.await.unwrap().unwrap();
    }
    let last = region.service_selector("logscale", deadline()).await;
    let last = last.unwrap();
    assert!((0..10).any(|at| last == wanted(at)), "{last:?}");
}
