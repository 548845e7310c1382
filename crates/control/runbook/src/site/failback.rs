//! The steps that only a failback has.

use backstay_cluster::loader::Stage;
use backstay_failover::marks::PAUSED;
use backstay_global::recovery::outside::{gained, take_back};
use backstay_pair::{HTTP, HUMIO_OPERATOR, Side, reverse_recovery};
use backstay_probe::Outcome;
use backstay_verify::recoverable;
use backstay_watch::Held;
use bytes::Bytes;
use http::{Request, Response};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::{Site, thorough};
use crate::engine::now_ms;
use crate::error::{NodeError, StepError, Withheld};
use crate::record::Record;
use crate::spec::with_environment;
use crate::step::{Answer, StepId};

/// The dynamic configuration that makes a node write everything down when it stops.
const FLUSH: &str = "FlushSegmentsAndGlobalOnShutdown";

/// What a node has answered.
fn data(pod: &str, answer: &Response<Bytes>) -> Result<Value, NodeError> {
    let (pod, status) = (pod.to_owned(), answer.status());
    if !status.is_success() {
        return Err(NodeError::Refused { pod, status });
    }
    let value: Value = match serde_json::from_slice(answer.body()) {
        Ok(value) => value,
        Err(source) => return Err(NodeError::NotJson { pod, source }),
    };
    match value.pointer("/errors/0/message").and_then(Value::as_str) {
        Some(message) => Err(NodeError::Query {
            pod,
            message: message.to_owned(),
        }),
        None => Ok(value),
    }
}

impl Site {
    /// Whether this region can recover from the other one's bucket: found, decrypted, patched, loaded.
    /// `stopped`: after the other region was stopped, which was seen to be recoverable before.
    pub(super) async fn can_recover(
        &self,
        into: Side,
        stopped: Option<&Record>,
    ) -> Result<Answer, StepError> {
        let from = into.other();
        if !self.world.has_journal().await {
            let before = stopped.and_then(|it| it.step(StepId::SecondaryRehearsed));
            return self
                .has_snapshot(from, before.map(|it| it.detail.as_str()))
                .await;
        }
        // Once the other region is stopped, no region takes writes: only what has come since is counted.
        let before = self.seen.lock().clone().filter(|_| stopped.is_some());
        let region = self.region(into)?;
        let (report, seen) =
            recoverable(self.pair(), into, region, thorough(), before.as_ref()).await;
        *self.seen.lock() = seen;
        let says_no = report.findings.iter().find(|it| it.says_no(false));
        if let Some(finding) = says_no {
            return Ok(Answer::refused(
                format!(
                    "the {into} could not recover from the {from}: {}: {}",
                    finding.check, finding.sentence
                ),
                finding.next.clone(),
            ));
        }
        let figures = &report.figures;
        let snapshot = match figures.snapshot {
            Some(position) => format!("snapshot {position}"),
            None => "the journal alone".to_owned(),
        };
        let carried = match figures.carried_entries.unwrap_or_default() {
            0 => String::new(),
            some => format!("; {some} of them are only in buckets that it recovered from itself"),
        };
        Ok(Answer::Holds(format!(
            "the {from}'s {snapshot} loads, with {} segments and {} entries behind it{carried}",
            figures.segments.unwrap_or_default(),
            figures.unread_entries.unwrap_or_default()
        )))
    }

    pub(super) async fn is_reversed(&self) -> Result<Answer, StepError> {
        let region = self.region(Side::Primary)?;
        let name = &self.pair().primary.cluster;
        let there = region.spec(name, Self::soon()).await;
        let there = there?;
        let field = self.pair().primary.environment_field;
        let wanted = with_environment(&there, &reverse_recovery(self.pair()), field)?;
        Ok(Answer::of(
            there == wanted,
            format!("HumioCluster {name} of the primary and the secondary's bucket"),
        ))
    }

    pub(super) async fn reverse(&self) -> Result<(), StepError> {
        let wanted = reverse_recovery(self.pair());
        let field = self.pair().primary.environment_field;
        let changed = self.region(Side::Primary)?.change_spec(
            &self.pair().primary.cluster,
            |spec| Ok(with_environment(spec, &wanted, field)?),
            Self::soon(),
        );
        Ok(changed.await.map(drop)?)
    }

    /// Asks a node of the secondary's over GraphQL.
    async fn graphql(&self, query: &str) -> Result<Value, StepError> {
        let standby = &self.secondary;
        let pods = standby
            .pods(&self.world.nodes(Side::Secondary), Self::soon())
            .await;
        let pods = pods?;
        let pod = pods.iter().find(|pod| pod.ready);
        let pod = pod.ok_or(NodeError::NoneReady)?;
        let cluster = &self.pair().secondary.cluster;
        let token = standby.admin_token(cluster, Self::soon());
        let token = token.await?;
        let body = serde_json::json!({ "query": query }).to_string();
        let request = Request::post("/graphql")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", token.expose_secret()))
            .body(body)
            // What it says could quote the token.
            .map_err(|_| NodeError::Token)?;
        let answer = standby
            .ask_node(cluster, pod, HTTP, request, Self::soon())
            .await;
        Ok(data(&pod.name, &answer?)?)
    }

    /// Whether the secondary's nodes flush on shutdown; once they are stopped, they have.
    pub(super) async fn flushes(&self, record: &Record) -> Result<Answer, StepError> {
        let stopping = record.step(StepId::SecondaryStopped);
        if stopping.is_some_and(|it| it.attempts > 0) {
            return Ok(Answer::Holds("they are being stopped".to_owned()));
        }
        let query = "query { dynamicConfigs { dynamicConfigKey dynamicConfigValue } }";
        let answer = self.graphql(query).await?;
        let all = answer
            .pointer("/data/dynamicConfigs")
            .and_then(Value::as_array);
        let ours = all.into_iter().flatten().find(|it| {
            let key = it.get("dynamicConfigKey").and_then(Value::as_str);
            key == Some(FLUSH)
        });
        let value = ours.and_then(|it| it.get("dynamicConfigValue")?.as_str());
        let value = value.unwrap_or("not set");
        Ok(Answer::of(value == "true", format!("{FLUSH} is {value}")))
    }

    pub(super) async fn set_flush(&self) -> Result<(), StepError> {
        let mutation =
            format!("mutation {{ setDynamicConfig(input: {{config: {FLUSH}, value: \"true\"}}) }}");
        let answer = self.graphql(&mutation).await?;
        match answer.pointer("/data/setDynamicConfig") {
            Some(Value::Bool(true)) => Ok(()),
            _ => Err(NodeError::NotTaken(FLUSH).into()),
        }
    }

    /// How far the primary is: its own nodes, its own answer, the term.
    pub(super) async fn primary_recovered(&self) -> Result<Answer, StepError> {
        let region = self.region(Side::Primary)?;
        let cluster = &self.pair().primary.cluster;
        let nodes = self.world.nodes(Side::Primary);
        let (declared, pods, answers, term) = tokio::join!(
            region.humio_cluster(cluster, Self::soon()),
            region.pods(&nodes, Self::soon()),
            self.world.probe(Side::Primary),
            self.holds_term(Side::Primary),
        );
        let (declared, pods) = (declared?, pods?);
        let stage = match &self.recoveries {
            Some(recoveries) => recoveries.follow(&pods).stage(),
            None => Stage::default(),
        };
        let wanted: i64 = declared.pools.iter().map(|it| it.node_count).sum();
        let ready = pods.iter().filter(|it| it.ready).count();
        let mut how = format!("{ready} of {wanted} nodes are ready, recovery: {stage:?}");
        if let Some(operators) = crate::operator_state::said(&declared)
            && i64::try_from(ready).is_ok_and(|it| it < wanted)
        {
            how = format!("{how}; {operators}");
        }
        if let Some(why) = pods.iter().find_map(|it| it.waiting.as_ref())
            && ready == 0
        {
            return Ok(Answer::Open(format!("{how}; {why}")));
        }
        match term? {
            Some(false) => return Ok(Answer::Open(format!("{how}; it does not hold the term"))),
            // Nothing but its own lines says so where there is no journal of ours.
            None if stage != Stage::Patched => return Ok(Answer::Open(how)),
            Some(true) | None => {}
        }
        Ok(match answers {
            Outcome::Healthy => Answer::of(i64::try_from(ready).is_ok_and(|it| it >= wanted), how),
            Outcome::Failed(error) => Answer::Open(format!("{how}; {error}")),
            Outcome::Void(why) => return Err(StepError::Void(why)),
        })
    }

    /// Whether the primary's journal is its own again and the secondary's is sealed by it.
    pub(super) async fn is_taken_back(&self) -> Result<Answer, StepError> {
        Ok(match self.holds_term(Side::Primary).await? {
            None => Answer::Holds("there is no journal of ours to take back".to_owned()),
            Some(taken) => Answer::of(
                taken,
                match taken {
                    true => "the primary holds the term, and the secondary is sealed",
                    false => "the secondary holds the term",
                },
            ),
        })
    }

    pub(super) async fn take_back(&self) -> Result<(), StepError> {
        for side in Side::BOTH {
            if let not @ Answer::Open(_) = self.is_stopped(side).await? {
                return Err(Withheld::TakeBack.because(not.detail()));
            }
        }
        let own = self.world.bucket(Side::Primary).await?;
        let other = self.world.bucket(Side::Secondary).await?;
        Ok(take_back(own, other, &self.guard).await?)
    }

    /// How much the secondary has taken in.
    pub(super) async fn left_behind(&self) -> Result<Answer, StepError> {
        if !self.world.has_journal().await
            || self.world.holder(Side::Secondary).await? == Held::Nobody
        {
            let what = "how much it is cannot be seen: there is no journal of ours";
            return Ok(Answer::Holds(what.to_owned()));
        }
        let bucket = self.world.bucket(Side::Secondary).await?;
        let gained = gained(bucket, self.count).await?;
        if gained.is_nothing() {
            return Ok(Answer::Holds("nothing is left behind".to_owned()));
        }
        Ok(Answer::Holds(format!(
            "left behind: {} events ({} bytes) in {} segments and {} entries of the journal",
            gained.events, gained.bytes, gained.segments, gained.unread_entries
        )))
    }

    /// Whether the alert has stayed quiet for long enough.
    pub(super) async fn is_quiet(&self, record: &Record) -> Result<Answer, StepError> {
        if let not @ Answer::Open(_) = self.no_alerts().await? {
            return Ok(Answer::refused(
                format!("the alert fires again: {}", not.detail()),
                format!(
                    "backstay status; then backstay runs resume {}, or kubectl --context {} -n {} \
                     annotate deployment {HUMIO_OPERATOR} {PAUSED}- to let a failover begin",
                    record.run,
                    self.pair().secondary.context,
                    self.pair().namespace
                ),
            ));
        }
        let since = record.step(StepId::AlertOn).and_then(|it| it.ended_ms);
        let quiet = now_ms().saturating_sub(since.unwrap_or_else(now_ms)) / 1000;
        let wanted = record.choices.quiet_seconds;
        Ok(Answer::of(
            quiet >= wanted,
            format!("quiet for {quiet} s of {wanted} s"),
        ))
    }
}
