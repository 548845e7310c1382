//! The manual's failback, phases 1, 2, 3 and 5.
//!
//! Other than there, the primary's endpoint is enabled last, when the primary holds the term: the
//! manual enables it first, and clients may reach a primary that is about to be stopped. And whatever
//! can be done while the secondary still takes writes is done before it is stopped.

use crate::step::{Holds, Step, StepId, step};

const BEGIN: &[Step] = &[
    step!(FailedOver, phase 1, manual "",
        "the secondary holds the term, and no failover is under way",
        undo "nothing is changed", waits "", seconds 60),
    step!(AlertOff, phase 1, manual "1",
        "the alert that wakes a failover is off",
        undo "az monitor metrics alert update … --enabled true", waits "", seconds 120,
        holds Holds::Until(StepId::AlertOn)),
    step!(Paused, phase 1, manual "1b",
        "no failover is begun meanwhile (logscale.dr/paused), and the holdoff is cleared",
        undo "kubectl annotate deployment humio-operator logscale.dr/paused-", waits "", seconds 60,
        holds Holds::Until(StepId::Unpaused)),
    step!(PrimaryReachable, phase 2, manual "3",
        "the primary's cluster answers",
        undo "nothing is changed", waits "", seconds 120,
        holds Holds::Until(StepId::PrimaryRecovered)),
    step!(PrimaryIngress, phase 2, manual "4",
        "the primary's ingress runs",
        undo "kubectl -n logging-ingress scale deploy … --replicas=0", waits "its pods", seconds 300),
];

const PRIMARY_STOPPED: Step = step!(PrimaryStopped, phase 3, manual "5d",
    "the primary's nodes, which are fenced, are stopped",
    undo "kubectl scale deploy humio-operator --replicas=1", waits "the end of its pods", seconds 600,
    holds Holds::Until(StepId::PrimaryStarted));

const SECONDARY_STOPPED: Step = step!(SecondaryStopped, phase 3, manual "5b-2",
    "the secondary's nodes are stopped: from here no region takes writes",
    undo "kubectl scale deploy humio-operator --replicas=1", waits "the end of its pods", seconds 900,
    holds Holds::Until(StepId::PrimaryRecovered));

const PREPARE: &[Step] = &[
    PRIMARY_STOPPED,
    step!(PrimaryClaims, phase 3, manual "",
        "the claims of the primary's pools for searches and events are gone: a snapshot on such a disk would be taken before any recovery source",
        undo "none: the operator makes new ones", waits "disks to be detached", seconds 600, destroys true),
    step!(ReverseEnvironment, phase 3, manual "5f",
        "the primary's nodes are told to recover from the secondary's bucket",
        undo "kubectl patch humiocluster … spec.environmentVariables", waits "", seconds 120,
        holds Holds::Until(StepId::PrimaryRecovered)),
    step!(SecondaryRehearsed, phase 3, manual "5c",
        "what the secondary has can be found, decrypted, patched and loaded for the primary",
        undo "nothing is changed", waits "", seconds 1800),
    step!(FlushOnShutdown, phase 3, manual "5b-1",
        "the secondary writes all segments and a snapshot when it stops",
        undo "setDynamicConfig(FlushSegmentsAndGlobalOnShutdown, \"false\")", waits "", seconds 120),
];

const RECOVER: &[Step] = &[
    SECONDARY_STOPPED,
    step!(SecondarySnapshot, phase 3, manual "5c",
        "what the secondary has written down is loaded on trial once more",
        undo "nothing is changed", waits "", seconds 1800,
        holds Holds::Until(StepId::PrimaryStarted)),
    step!(PrimarySnapshotsDeleted, phase 3, manual "5e",
        "the primary's snapshots are gone, and nothing else of it",
        undo "none: what replaces them is the secondary's", waits "", seconds 600,
        holds Holds::Until(StepId::PrimaryStarted), destroys true),
    step!(PrimaryTopicReset, phase 3, manual "5g",
        "with Kafka as the journal: the primary's topic global-events is reset",
        undo "none", waits "", seconds 60),
];

const SKIP: &[Step] = &[step!(LeftBehind, phase 3, manual "",
        "what the secondary has taken in stays in its bucket, and is in no search any more",
        undo "nothing is changed", waits "", seconds 600, destroys true)];

const TAKE_BACK: &[Step] = &[
    PRIMARY_STOPPED,
    SECONDARY_STOPPED,
    step!(TakenBack, phase 3, manual "",
        "the secondary's journal is sealed, and the primary's is its own again",
        undo "backstay failover", waits "", seconds 600,
        holds Holds::Until(StepId::PrimaryStarted), destroys true),
];

const RETURN: &[Step] = &[
    step!(PrimaryStarted, phase 3, manual "5h",
        "the primary's operator runs",
        undo "kubectl scale deploy humio-operator --replicas=0", waits "", seconds 120,
        holds Holds::Until(StepId::Unpaused)),
    step!(PrimaryRecovered, phase 3, manual "5i",
        "the primary has recovered, answers 200 on its own address and holds the term; the secondary is sealed",
        undo "nothing is changed", waits "its pods", seconds 3600,
        holds Holds::Until(StepId::GlobalName)),
    step!(FailoverClosed, phase 3, manual "",
        "the mark of the failover is removed: the primary is the active region",
        undo "none", waits "", seconds 60),
    step!(EndpointOn, phase 3, manual "2",
        "the primary's endpoint is enabled, and read back so",
        undo "az network traffic-manager endpoint update … --endpoint-status Disabled", waits "", seconds 300,
        holds Holds::Until(StepId::GlobalName)),
    step!(EndpointOnline, phase 3, manual "5",
        "the traffic manager finds it Online",
        undo "nothing is changed", waits "the traffic manager's probes", seconds 600),
    step!(GlobalName, phase 3, manual "5, phase 5: 1",
        "the global name leads to the primary and answers 200",
        undo "nothing is changed", waits "DNS", seconds 600),
    step!(AlertsClosed, phase 3, manual "5a",
        "fired alerts are closed",
        undo "none", waits "", seconds 120),
    step!(AlertOn, phase 5, manual "phase 5: 2",
        "the alert is on again",
        undo "az monitor metrics alert update … --enabled false", waits "", seconds 120),
    step!(Quiet, phase 5, manual "phase 5: 3, 4",
        "it does not fire again",
        undo "nothing is changed", waits "the quiet seconds", seconds 900),
    step!(Unpaused, phase 5, manual "",
        "failovers may begin again (they need clean-secondary first)",
        undo "kubectl annotate deployment humio-operator logscale.dr/paused=…", waits "", seconds 60),
];

pub(super) fn steps(skip_reverse_recovery: bool) -> Vec<&'static Step> {
    let middle = match skip_reverse_recovery {
        true => [SKIP, TAKE_BACK],
        false => [PREPARE, RECOVER],
    };
    let all = [BEGIN, middle[0], middle[1], RETURN];
    all.into_iter().flatten().collect()
}
