//! The steps that only a clean-up has.

use backstay_pair::{STRIMZI_OPERATOR, Side};
use backstay_verify::{World, verify};

use super::{Site, thorough};
use crate::error::{StepError, Withheld};
use crate::record::Record;
use crate::spec::asleep;
use crate::step::Answer;

impl Site {
    /// The label selector of everything of Kafka's.
    fn kafka(&self) -> String {
        format!(
            "strimzi.io/cluster={},strimzi.io/kind=Kafka",
            self.pair().secondary.kafka
        )
    }

    /// That of its brokers and controllers, which hold its state; an entity operator is no part of it.
    fn broker_pods(&self) -> String {
        format!("{},strimzi.io/component-type=kafka", self.kafka())
    }

    fn brokers(&self) -> u32 {
        self.standby().kafka_replicas
    }

    /// Whether the primary answers, holds the term, and has the traffic.
    pub(super) async fn primary_healthy(&self) -> Result<Answer, StepError> {
        let next = "backstay status; if the failback is not over: backstay failback";
        if self.holds_term(Side::Primary).await? == Some(false) {
            let why = "the primary does not hold the term";
            return Ok(Answer::refused(why, next));
        }
        match self.serves(Side::Primary).await? {
            Answer::Open(why) => Ok(Answer::refused(why, next)),
            answer => Ok(answer),
        }
    }

    pub(super) async fn strimzi_is(&self, up: bool) -> Result<Answer, StepError> {
        if self.brokers() == 0 {
            return Ok(Answer::Holds("no Kafka".to_owned()));
        }
        let standby = &self.secondary;
        let operator = standby.operator(STRIMZI_OPERATOR, Self::soon()).await;
        let operator = operator?;
        let detail = format!("{STRIMZI_OPERATOR} is at {}", operator.replicas);
        if up {
            return Ok(Answer::of(operator.replicas >= 1, detail));
        }
        let pods = standby.pods(&operator.selector, Self::soon()).await;
        let gone = pods?.is_empty();
        Ok(Answer::of(operator.replicas == 0 && gone, detail))
    }

    pub(super) async fn scale_strimzi(&self, replicas: u16) -> Result<(), StepError> {
        let standby = &self.secondary;
        let scaled = standby
            .scale(STRIMZI_OPERATOR, replicas, Self::soon())
            .await;
        Ok(scaled.map(drop)?)
    }

    pub(super) async fn kafka_gone(&self) -> Result<Answer, StepError> {
        let pods = self.secondary.pods(&self.broker_pods(), Self::soon()).await;
        let left = pods?.len();
        Ok(Answer::of(
            left == 0,
            format!("{left} of its pods are left"),
        ))
    }

    pub(super) async fn delete_kafka_pods(&self) -> Result<(), StepError> {
        let standby = &self.secondary;
        // At once, as the manual does: what they hold is thrown away.
        let selector = self.kafka();
        let deleted = standby.delete_pods(&selector, Some(0), Self::soon());
        Ok(deleted.await.map(drop)?)
    }

    pub(super) async fn kafka_state_gone(&self) -> Result<Answer, StepError> {
        let standby = &self.secondary;
        if self.brokers() == 0 {
            return Ok(Answer::Holds("no Kafka".to_owned()));
        }
        let selector = self.kafka();
        let (claims, sets) = tokio::join!(
            standby.claims(&selector, Self::soon()),
            standby.pod_sets(&selector, Self::soon())
        );
        let (claims, sets) = (claims?, sets?);
        let detail = format!(
            "{} claims and {} StrimziPodSets are left",
            claims.len(),
            sets.len()
        );
        Ok(Answer::of(claims.is_empty() && sets.is_empty(), detail))
    }

    pub(super) async fn delete_kafka_state(&self) -> Result<(), StepError> {
        match (self.strimzi_is(false).await?, self.kafka_gone().await?) {
            (Answer::Holds(_), Answer::Holds(_)) => {}
            (Answer::Holds(_), not) | (not, _) => {
                return Err(Withheld::Delete.because(not.detail()));
            }
        }
        let (standby, selector) = (&self.secondary, self.kafka());
        let claims = standby.delete_claims(&selector, Self::soon()).await;
        claims?;
        let sets = standby.delete_pod_sets(&selector, Self::soon()).await;
        Ok(sets.map(drop)?)
    }

    pub(super) async fn kafka_ready(&self) -> Result<Answer, StepError> {
        let wanted = self.brokers();
        if wanted == 0 {
            return Ok(Answer::Holds("no Kafka".to_owned()));
        }
        let pods = self.secondary.pods(&self.broker_pods(), Self::soon()).await;
        let ready = pods?.iter().filter(|it| it.ready).count();
        Ok(Answer::of(
            ready >= wanted as usize,
            format!("{ready} of {wanted} brokers are ready"),
        ))
    }

    /// With our journal in the bucket there is no topic; with Kafka, an admin pod has to delete it,
    /// which is a person's to start.
    pub(super) async fn topic_reset(
        &self,
        side: Side,
        record: &Record,
    ) -> Result<Answer, StepError> {
        if record.choices.topic_is_reset {
            let why = "a person has reset it";
            return Ok(Answer::Holds(why.to_owned()));
        }
        if self.world.has_journal().await {
            let why = "the journal is in the bucket: there is no topic";
            return Ok(Answer::Holds(why.to_owned()));
        }
        let context = &self.pair().region(side).context;
        Ok(Answer::Person {
            what: format!(
                "delete Kafka's topic global-events of the {side}: ./test/reset-kafka-topic.sh \
                 --context {context}; then backstay runs resume {} --topic-is-reset",
                record.run
            ),
        })
    }

    pub(super) async fn is_a_standby(&self) -> Result<Answer, StepError> {
        let standby = self.standby();
        let name = &self.pair().secondary.cluster;
        let there = self.secondary.spec(name, Self::soon()).await;
        let there = there?;
        if asleep(&there, &standby)? != there {
            let detail = "the HumioCluster declares more than a standby's";
            return Ok(Answer::Open(detail.to_owned()));
        }
        self.selects(&standby).await
    }

    pub(super) async fn make_a_standby(&self) -> Result<(), StepError> {
        let standby = self.standby();
        let name = &self.pair().secondary.cluster;
        let changed =
            self.secondary
                .change_spec(name, |spec| Ok(asleep(spec, &standby)?), Self::soon());
        changed.await?;
        self.select(&standby).await
    }

    pub(super) async fn is_verified(&self) -> Result<Answer, StepError> {
        let world = World {
            standby: Ok(self.secondary.clone()),
            primary: self.region(Side::Primary).cloned(),
            azure: Ok(self.azure.clone()),
        };
        let report = verify(self.pair(), &world, thorough()).await;
        Ok(match report.findings.iter().find(|it| it.says_no(false)) {
            None => Answer::Holds("the standby is able to take over".to_owned()),
            Some(finding) => Answer::Open(format!("{}: {}", finding.check, finding.sentence)),
        })
    }
}
