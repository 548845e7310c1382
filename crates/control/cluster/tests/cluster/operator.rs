//! The operator's Deployment, its annotations, and events about it.

use std::sync::Arc;

use backstay_cluster::{Annotated, ClusterError, Expected, Note, Severity, WriteOutcome};
use backstay_failover::marks::{DEGRADED_SINCE, LAST_FAILOVER, PAUSED};
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;

use crate::lab::{Lab, deadline, soon};

const NAME: &str = "humio-operator";
const WRITERS: usize = 20;

#[tokio::test]
async fn it_is_read_and_scaled_by_the_function_s_role() {
    let lab = Lab::start().await;
    lab.operator().await;
    let region = lab.region("dr-function").await;
    let read = region.operator(NAME, deadline()).await.unwrap();
    assert_eq!(
        (read.name.as_str(), read.replicas, read.ready),
        (NAME, 0, 0)
    );
    // As often as one likes.
    for _ in 0..2 {
        assert_eq!(region.scale(NAME, 1, deadline()).await.unwrap(), 1);
    }
    assert_eq!(region.operator(NAME, deadline()).await.unwrap().replicas, 1);
    let error = region.operator("nobody", deadline()).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("aks-secondary: deployments.apps nobody"),
        "{error}"
    );
}

#[tokio::test]
async fn an_annotation_is_compared_and_set() {
    let lab = Lab::start().await;
    lab.operator().await;
    let region = lab.region("dr-function").await;
    let annotate = |key: &'static str, expected: Expected, new: Option<&'static str>| {
        let region = region.clone();
        async move {
            region
                .annotate(NAME, key, &expected, new, deadline())
                .await
                .unwrap()
        }
    };
    let none = Expected::Value(None);
    let first = Expected::Value(Some("1700000000".to_owned()));
    let Annotated::Written(written) =
        annotate(DEGRADED_SINCE, none.clone(), Some("1700000000")).await
    else {
        panic!("nobody else writes");
    };
    assert_eq!(written.annotations[DEGRADED_SINCE], "1700000000");
    // Whoever comes later learns since when it is so.
    let Annotated::Conflict(now) = annotate(DEGRADED_SINCE, none.clone(), Some("1700000099")).await
    else {
        panic!("it is there already");
    };
    assert_eq!(now.annotations[DEGRADED_SINCE], "1700000000");
    // Other annotations are left alone.
    annotate(LAST_FAILOVER, none.clone(), Some("1600000000")).await;
    assert!(matches!(
        annotate(DEGRADED_SINCE, first, None).await,
        Annotated::Written(_)
    ));
    let now = region.operator(NAME, deadline()).await.unwrap();
    assert_eq!(now.annotations.get(DEGRADED_SINCE), None);
    assert_eq!(now.annotations[LAST_FAILOVER], "1600000000");
    // By the state that was read.
    let at = Expected::Version(now.version.clone());
    assert!(matches!(
        annotate(PAUSED, at.clone(), Some("why")).await,
        Annotated::Written(_)
    ));
    assert!(matches!(
        annotate(PAUSED, at, None).await,
        Annotated::Conflict(_)
    ));
    let error = region
        .annotate("nobody", PAUSED, &none, None, deadline())
        .await
        .unwrap_err();
    assert!(error.is_not_found());
}

#[tokio::test]
async fn of_twenty_that_write_at_once_one_prevails() {
    let lab = Lab::start().await;
    lab.operator().await;
    let region = lab.region("dr-function").await;
    let version = region.operator(NAME, deadline()).await.unwrap().version;
    for expected in [Expected::Version(version), Expected::Value(None)] {
        let key = match expected {
            Expected::Version(_) => DEGRADED_SINCE,
            Expected::Value(_) => PAUSED,
        };
        let begin = Arc::new(tokio::sync::Barrier::new(WRITERS));
        let writers = (0..WRITERS).map(|at| {
            let (region, expected, begin) = (region.clone(), expected.clone(), begin.clone());
            tokio::spawn(async move {
                begin.wait().await;
                let mine = at.to_string();
                let done = region
                    .annotate(NAME, key, &expected, Some(&mine), deadline())
                    .await;
                (mine, done.unwrap())
            })
        });
        let mut winners = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            let (mine, done) = writer.await.unwrap();
            if matches!(done, Annotated::Written(_)) {
                winners.push(mine);
            }
        }
        let now = region.operator(NAME, deadline()).await.unwrap();
        assert_eq!(winners, [now.annotations[key].clone()], "{expected:?}");
    }
}

#[tokio::test]
async fn twenty_that_count_lose_no_step() {
    let lab = Lab::start().await;
    lab.operator().await;
    let region = lab.region("dr-function").await;
    let writers = (0..WRITERS).map(|_| {
        let region = region.clone();
        tokio::spawn(async move {
            let mut now = region.operator(NAME, deadline()).await.unwrap();
            loop {
                let old = now.annotations.get(PAUSED).cloned();
                let next = old
                    .as_ref()
                    .map_or(1, |it| it.parse::<u32>().unwrap() + 1)
                    .to_string();
                let old = Expected::Value(old);
                match region
                    .annotate(NAME, PAUSED, &old, Some(&next), deadline())
                    .await
                    .unwrap()
                {
                    Annotated::Written(_) => return,
                    Annotated::Conflict(other) => now = other,
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let now = region.operator(NAME, deadline()).await.unwrap();
    assert_eq!(now.annotations[PAUSED], WRITERS.to_string());
}

#[tokio::test]
async fn what_others_write_beside_it_is_no_conflict() {
    let lab = Lab::start().await;
    lab.operator().await;
    let region = lab.region("dr-function").await;
    let churning = async {
        for number in 0_u64.. {
            let patch = json!({ "metadata": { "labels": { "churn": number.to_string() } } });
            lab.patch("apps/v1", "Deployment", NAME, patch).await;
        }
    };
    let writing = async {
        let mut old = None;
        for number in 0..20 {
            let new = number.to_string();
            let expected = Expected::Value(old.take());
            let done = region
                .annotate(NAME, PAUSED, &expected, Some(&new), deadline())
                .await;
            assert!(matches!(done.unwrap(), Annotated::Written(_)), "{number}");
            old = Some(new);
        }
    };
    tokio::select! {
        () = churning => unreachable!(),
        () = writing => {}
    }
}

#[tokio::test]
async fn an_event_is_seen_at_the_deployment() {
    let lab = Lab::start().await;
    lab.operator().await;
    let region = lab.region("dr-function").await;
    let operator = region.operator(NAME, deadline()).await.unwrap();
    let note = Note {
        reason: "FailoverStarted".to_owned(),
        message: format!("run 7: {}", "x".repeat(5000)),
        severity: Severity::Warning,
    };
    region.record(&operator, &note, deadline()).await.unwrap();
    let events = lab.api("v1", "Event").await;
    let about = ListParams::default().fields("involvedObject.name=humio-operator");
    let event = events.list(&about).await.unwrap().items.remove(0);
    assert!(event.name_any().starts_with("humio-operator."));
    assert_eq!(event.data["reason"], "FailoverStarted");
    assert_eq!(event.data["type"], "Warning");
    assert_eq!(event.data["involvedObject"]["uid"], operator.uid);
    assert_eq!(event.data["message"].as_str().unwrap().len(), 1024);
}

#[tokio::test]
async fn an_api_that_is_away_for_a_while() {
    let lab = Lab::start().await;
    lab.operator().await;
    let region = lab.region("dr-function").await;
    lab.down().await;
    let error = region.operator(NAME, soon()).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    let scaling = tokio::spawn({
        let region = region.clone();
        async move { region.scale(NAME, 1, deadline()).await }
    });
    let annotating = tokio::spawn({
        let region = region.clone();
        async move {
            let none = Expected::Value(None);
            region
                .annotate(NAME, DEGRADED_SINCE, &none, Some("1"), deadline())
                .await
        }
    });
    lab.up().await;
    assert_eq!(scaling.await.unwrap().unwrap(), 1);
    assert!(matches!(
        annotating.await.unwrap().unwrap(),
        Annotated::Written(_)
    ));
    // A server that stops and starts all the time costs no write and doubles none.
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let counting = async {
        let mut old = Some("1".to_owned());
        for number in 2..40 {
            let new = number.to_string();
            let expected = Expected::Value(old.take());
            let done = region
                .annotate(NAME, DEGRADED_SINCE, &expected, Some(&new), deadline())
                .await;
            assert!(matches!(done.unwrap(), Annotated::Written(_)), "{number}");
            old = Some(new);
        }
        stop.send(()).unwrap();
    };
    let restarting = async {
        let mut restarts = 0;
        while stopped.try_recv().is_err() {
            lab.restart().await;
            restarts += 1;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        restarts
    };
    let ((), restarts) = tokio::join!(counting, restarting);
    assert!(restarts > 0);
}

#[tokio::test]
async fn services_and_their_selectors() {
    let lab = Lab::start().await;
    let service = json!({
        "metadata": { "name": "logscale-ui" },
        "spec": { "selector": { "app.kubernetes.io/name": "humio" }, "ports": [{ "port": 8080 }] },
    });
    lab.make("v1", "Service", service).await;
    let services = lab
        .region("admin")
        .await
        .services(deadline())
        .await
        .unwrap();
    assert_eq!(services[0].name, "logscale-ui");
    assert_eq!(services[0].selector["app.kubernetes.io/name"], "humio");
    let error = lab
        .region("dr-function")
        .await
        .services(deadline())
        .await
        .unwrap_err();
    assert!(matches!(error, ClusterError::Forbidden { .. }), "{error}");
}

#[tokio::test]
async fn annotations_are_written_as_a_whole_onto_what_was_read_with_the_servers_clock() {
    let lab = Lab::start().await;
    lab.operator().await;
    let region = lab.region("dr-function").await;
    let before = std::time::SystemTime::now() - std::time::Duration::from_secs(2);
    let (read, clock) = region.operator_and_clock(NAME, deadline()).await.unwrap();
    assert!(clock >= before && clock <= std::time::SystemTime::now());
    let change = [(DEGRADED_SINCE, Some("5".to_owned())), (PAUSED, None)].into();
    let write = || region.annotate_once(NAME, &read.version, &change, deadline());
    assert_eq!(write().await.unwrap(), WriteOutcome::Written);
    assert_eq!(write().await.unwrap(), WriteOutcome::Changed);
    let (now, _) = region.operator_and_clock(NAME, deadline()).await.unwrap();
    assert_eq!(now.annotations[DEGRADED_SINCE], "5");
    let error = region
        .operator_and_clock("nobody", deadline())
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[tokio::test]
async fn a_lease_is_written_on_condition() {
    let lab = Lab::start().await;
    let region = lab.region("dr-function").await;
    let lasts = std::time::Duration::from_secs(15);
    let write = |version: Option<String>, holder: Option<&'static str>| {
        let region = region.clone();
        async move {
            region
                .write_lease("lease", version.as_deref(), holder, lasts, deadline())
                .await
                .unwrap()
        }
    };
    let read = || async { region.lease("lease", deadline()).await.unwrap() };
    assert_eq!(read().await, None);
    assert_eq!(write(None, Some("a")).await, WriteOutcome::Written);
    assert_eq!(write(None, Some("b")).await, WriteOutcome::Changed);
    let held = read().await.unwrap();
    assert_eq!(held.holder.as_deref(), Some("a"));
    // A renewal is another state, so that others see it alive.
    let at = Some(held.version.clone());
    assert_eq!(write(at.clone(), Some("a")).await, WriteOutcome::Written);
    let renewed = read().await.unwrap();
    assert_ne!(renewed.version, held.version);
    assert_eq!(write(at, Some("b")).await, WriteOutcome::Changed);
    assert_eq!(
        write(Some(renewed.version), None).await,
        WriteOutcome::Written
    );
    assert_eq!(read().await.unwrap().holder, None);
}
