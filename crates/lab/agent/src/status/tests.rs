#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::Ipv4Addr;

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::api::core::v1::PodStatus;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CRASH_LOOP, ContainerState, Ended, PodState, RestartPolicy, State};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn ended(exit_code: i32) -> Ended {
    Ended {
        exit_code,
        reason: if exit_code == 0 { "Completed" } else { "Error" }.to_owned(),
        message: String::new(),
        started: Some(now()),
        finished: now(),
        id: "process://7".to_owned(),
    }
}

fn running() -> State {
    State::Running { started: now() }
}

fn container(name: &str, state: State) -> ContainerState {
    ContainerState {
        state,
        ..ContainerState::new(name, "backstay/node")
    }
}

fn pod(policy: RestartPolicy, containers: Vec<ContainerState>) -> PodState {
    PodState {
        policy,
        address: Some(Ipv4Addr::new(127, 71, 11, 2)),
        host: Ipv4Addr::new(127, 71, 11, 1),
        started: now(),
        deleting: false,
        containers,
    }
}

#[test]
fn phases_are_those_of_the_kubelet() {
    use RestartPolicy::{Always, Never, OnFailure};
    let waiting = || State::waiting("ContainerCreating", "");
    let crashed = |name: &str| ContainerState {
        last: Some(ended(1)),
        ..container(name, State::waiting(CRASH_LOOP, "back-off"))
    };
    for (policy, containers, phase) in [
        (Always, vec![], "Pending"),
        (Always, vec![container("a", waiting())], "Pending"),
        (
            Always,
            vec![container("a", running()), container("b", waiting())],
            "Pending",
        ),
        (Always, vec![container("a", running())], "Running"),
        (Always, vec![crashed("a")], "Running"),
        (
            Always,
            vec![container("a", State::Ended(ended(0)))],
            "Running",
        ),
        (
            Always,
            vec![container("a", State::Ended(ended(1)))],
            "Running",
        ),
        (
            OnFailure,
            vec![container("a", State::Ended(ended(0)))],
            "Succeeded",
        ),
        (
            OnFailure,
            vec![container("a", State::Ended(ended(1)))],
            "Running",
        ),
        (OnFailure, vec![crashed("a")], "Running"),
        (
            Never,
            vec![container("a", State::Ended(ended(0)))],
            "Succeeded",
        ),
        (
            Never,
            vec![container("a", State::Ended(ended(3)))],
            "Failed",
        ),
        (
            Never,
            vec![
                container("a", State::Ended(ended(0))),
                container("b", State::Ended(ended(1))),
            ],
            "Failed",
        ),
        (
            Never,
            vec![
                container("a", State::Ended(ended(0))),
                container("b", running()),
            ],
            "Running",
        ),
    ] {
        let pod = pod(policy, containers);
        assert_eq!(pod.phase(), phase, "{pod:?}");
    }
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let all = status["conditions"].as_array().unwrap();
    all.iter()
        .find(|condition| condition["type"] == kind)
        .unwrap()
}

#[test]
fn ready_says_which_container_is_not_and_since_when() {
    let mut state = pod(RestartPolicy::Always, vec![container("humio", running())]);
    let first = state.document(&json!({}), now());
    let ready = condition(&first, "Ready");
    assert_eq!(ready["status"], "False");
    assert_eq!(ready["reason"], "ContainersNotReady");
    assert_eq!(ready["message"], "containers with unready status: [humio]");
    assert_eq!(first["podIP"], "127.71.11.2");

    state.containers[0].ready = true;
    let later = now() + TimeDelta::seconds(5);
    let second = state.document(&first, later);
    assert_eq!(condition(&second, "Ready")["status"], "True");
    assert_eq!(
        condition(&second, "Ready")["lastTransitionTime"],
        "2023-11-14T22:13:25Z"
    );
    assert_eq!(
        condition(&second, "PodScheduled")["lastTransitionTime"],
        "2023-11-14T22:13:20Z"
    );
    let third = state.document(&second, later + TimeDelta::seconds(5));
    assert_eq!(third, second);

    state.deleting = true;
    let ending = state.document(&third, later);
    assert_eq!(condition(&ending, "Ready")["status"], "False");
    assert_eq!(ending["phase"], "Running");
}

#[test]
fn a_completed_pod_says_so() {
    let state = pod(
        RestartPolicy::Never,
        vec![container("job", State::Ended(ended(0)))],
    );
    let status = state.document(&json!({}), now());
    assert_eq!(condition(&status, "Ready")["reason"], "PodCompleted");
    assert_eq!(
        status["containerStatuses"][0]["state"]["terminated"]["reason"],
        "Completed"
    );
}

fn recovered(status: &Value) -> ContainerState {
    let status: PodStatus = serde_json::from_value(status.clone()).unwrap();
    ContainerState::recovered("humio", "backstay/node", Some(&status), now())
}

#[test]
fn the_next_agent_goes_on_from_what_was_reported() {
    let report = |container: ContainerState| {
        pod(RestartPolicy::Always, vec![container]).document(&json!({}), now())
    };
    // Never started.
    let fresh = recovered(&report(container(
        "humio",
        State::waiting("ContainerCreating", ""),
    )));
    assert_eq!((fresh.starts, fresh.last), (0, None));
    assert_eq!(recovered(&json!({})).starts, 0);
    // It ran: it has ended by now.
    let ran = recovered(&report(ContainerState {
        starts: 3,
        last: Some(ended(1)),
        ..container("humio", running())
    }));
    assert_eq!(ran.starts, 3);
    assert!(matches!(&ran.state, State::Ended(ended) if ended.exit_code == 137));
    // It waited to be started again.
    let crashed = recovered(&report(ContainerState {
        starts: 3,
        last: Some(ended(9)),
        ..container("humio", State::waiting(CRASH_LOOP, ""))
    }));
    assert_eq!(crashed.starts, 3);
    assert!(matches!(&crashed.state, State::Ended(ended) if ended.exit_code == 9));
    // It was done.
    let done = recovered(&report(ContainerState {
        starts: 1,
        ..container("humio", State::Ended(ended(0)))
    }));
    assert!(matches!(&done.state, State::Ended(ended) if ended.exit_code == 0));
}

fn any_container() -> impl Strategy<Value = ContainerState> {
    let state = prop_oneof![
        Just(State::waiting("ContainerCreating", "")),
        Just(State::waiting(CRASH_LOOP, "back-off")),
        Just(running()),
        (0..3).prop_map(|code| State::Ended(ended(code))),
    ];
    (state, prop::option::of(0..3), any::<bool>(), 0_u32..9).prop_map(
        |(state, last, ready, starts)| ContainerState {
            last: last.map(ended),
            ready,
            starts,
            ..container("c", state)
        },
    )
}

proptest! {
    #[test]
    fn what_is_reported_is_a_status_and_ready_means_running(
        containers in prop::collection::vec(any_container(), 0..4),
        policy in prop::sample::select(vec![RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never]),
        deleting in any::<bool>(),
    ) {
        let state = PodState { deleting, ..pod(policy, containers) };
        let document = state.document(&json!({}), now());
        let parsed: PodStatus = serde_json::from_value(document.clone()).unwrap();
        let statuses = parsed.container_statuses.unwrap();
        for status in &statuses {
            let running = status.state.as_ref().unwrap().running.is_some();
            prop_assert!(!status.ready || (running && !deleting));
        }
        let ready = condition(&document, "Ready")["status"] == "True";
        let terminal = matches!(state.phase(), "Succeeded" | "Failed");
        prop_assert_eq!(ready, statuses.iter().all(|status| status.ready) && !terminal);
        // A pod that is restarted for ever never ends.
        prop_assert!(!(policy == RestartPolicy::Always && !deleting && terminal));
        // The same again is the same.
        prop_assert_eq!(state.document(&document, now() + TimeDelta::hours(1)), document);
    }
}
