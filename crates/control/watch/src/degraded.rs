//! What a region's nodes say of themselves that is not as it should be, although they take events.
//! It is for people: nothing is decided by it, since whoever takes events is alive.

use backstay_cluster::{Pod, Region};
use backstay_pair::HTTP;
use backstay_retry::Deadline;
use futures::future::join_all;
use http::Request;
use serde::{Deserialize, Serialize};

const STATUS: &str = "/api/v1/status";

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Degraded {
    /// The kind, as the nodes' metric `backstay_degraded` has it.
    pub reason: String,
    /// The part that is affected, such as `partition 3`.
    pub what: String,
    /// How, and what to do.
    pub detail: String,
    /// The nodes that say it.
    #[serde(default)]
    pub nodes: Vec<String>,
}

/// Asks all nodes that can be asked. One that does not answer is what readiness is about.
pub(crate) async fn of(
    region: &Region,
    cluster: &str,
    pods: &[Pod],
    deadline: Deadline,
) -> Vec<Degraded> {
    let asked = pods.iter().map(|pod| async move {
        let request = Request::get(STATUS).body(String::new()).ok()?;
        let answer = region.ask_node(cluster, pod, HTTP, request, deadline);
        let answer = answer.await.ok()?;
        Some((pod.name.as_str(), degradations(answer.body())))
    });
    together(join_all(asked).await.into_iter().flatten())
}

/// What is in the answer of one node; nothing in that of a LogScale.
fn degradations(body: &[u8]) -> Vec<Degraded> {
    #[derive(Deserialize)]
    struct Status {
        #[serde(default)]
        degraded: Vec<Degraded>,
    }
    serde_json::from_slice::<Status>(body).map_or_else(|_| Vec::new(), |it| it.degraded)
}

/// The same of several nodes is reported once.
fn together<'a>(said: impl Iterator<Item = (&'a str, Vec<Degraded>)>) -> Vec<Degraded> {
    let mut all: Vec<Degraded> = Vec::new();
    for (node, degraded) in said {
        for one in degraded {
            let same = |it: &&mut Degraded| {
                (&it.reason, &it.what, &it.detail) == (&one.reason, &one.what, &one.detail)
            };
            match all.iter_mut().find(same) {
                Some(known) => known.nodes.push(node.to_owned()),
                None => all.push(Degraded {
                    nodes: vec![node.to_owned()],
                    ..one
                }),
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn one(what: &str, nodes: &[&str]) -> Degraded {
        Degraded {
            reason: "bucket".to_owned(),
            what: what.to_owned(),
            detail: "it is away".to_owned(),
            nodes: nodes.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    #[test]
    fn an_answer_says_what_is_degraded_or_nothing() {
        let status = |degraded: &str| format!(r#"{{"status":"OK","version":"1"{degraded}}}"#);
        let item = r#"{"reason":"bucket","what":"b","detail":"it is away"}"#;
        for (body, expected) in [
            (status(""), vec![]),
            (status(r#","degraded":[]"#), vec![]),
            (
                status(&format!(r#","degraded":[{item}]"#)),
                vec![one("b", &[])],
            ),
            (status(r#","degraded":"yes""#), vec![]),
            ("OK".to_owned(), vec![]),
            (String::new(), vec![]),
        ] {
            assert_eq!(degradations(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn what_several_nodes_say_is_told_once() {
        let said = [
            ("n-0", vec![one("a", &[]), one("b", &[])]),
            ("n-1", vec![one("a", &[])]),
            ("n-2", vec![]),
        ];
        let expected = [one("a", &["n-0", "n-1"]), one("b", &["n-0"])];
        assert_eq!(together(said.into_iter()), expected);
    }
}
