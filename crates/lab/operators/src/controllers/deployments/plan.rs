//! Which pods a deployment makes and which it deletes next.

use serde_json::Value;

use crate::api::text;
use crate::invalid::{Invalid, Problem};
use crate::pod::Life;

/// How far a roll-out may stray from the wanted number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limits {
    /// All old pods go before a new one comes.
    Recreate,
    /// At most `surge` pods more than wanted, at most `unavailable` fewer ready.
    Rolling { surge: usize, unavailable: usize },
}

impl Limits {
    /// From `spec.strategy`, as Kubernetes reads it: a quarter each where nothing is said, a
    /// surge rounded up, what may be missing rounded down, and never both zero.
    pub(super) fn read(strategy: &Value, replicas: usize) -> Result<Self, Invalid> {
        match text(strategy, "/type") {
            "" | "RollingUpdate" => {}
            "Recreate" => return Ok(Self::Recreate),
            other => {
                let problem = Problem::Unknown {
                    value: other.to_owned(),
                    known: "RollingUpdate or Recreate",
                };
                return Err(problem.at("spec.strategy.type"));
            }
        }
        let of = |field: &str, up: bool| {
            let value = strategy.pointer(&format!("/rollingUpdate/{field}"));
            amount(value, replicas, up)
                .ok_or_else(|| Problem::Amount.at(format!("spec.strategy.rollingUpdate.{field}")))
        };
        let (surge, mut unavailable) = (of("maxSurge", true)?, of("maxUnavailable", false)?);
        if surge == 0 && unavailable == 0 {
            unavailable = 1;
        }
        Ok(Self::Rolling { surge, unavailable })
    }
}

fn amount(value: Option<&Value>, replicas: usize, up: bool) -> Option<usize> {
    let percent = match value {
        None | Some(Value::Null) => 25,
        Some(Value::Number(number)) => return usize::try_from(number.as_u64()?).ok(),
        Some(Value::String(text)) => text.strip_suffix('%')?.parse::<u32>().ok()?,
        Some(_) => return None,
    };
    let hundredfold = replicas.checked_mul(usize::try_from(percent).ok()?)?;
    Some(if up {
        hundredfold.div_ceil(100)
    } else {
        hundredfold / 100
    })
}

/// What a deployment wants.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub replicas: usize,
    pub hash: String,
    pub limits: Limits,
}

/// A pod of the deployment.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// It is of the template as it is now.
    pub current: bool,
    pub life: Life,
    pub made: i64,
    pub name: String,
}

impl Seen {
    fn lives(&self) -> bool {
        matches!(self.life, Life::Ready | Life::Unready)
    }
}

/// What to do next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// So many pods of the template.
    pub create: usize,
    /// These, by their places.
    pub delete: Vec<usize>,
}

impl Plan {
    pub(super) fn is_rest(&self) -> bool {
        self.create == 0 && self.delete.is_empty()
    }
}

/// How many pods there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub all: usize,
    pub current: usize,
    pub ready: usize,
}

pub(super) fn count(pods: &[Seen]) -> Counts {
    let mut counts = Counts::default();
    for pod in pods.iter().filter(|pod| pod.lives()) {
        counts.all += 1;
        counts.current += usize::from(pod.current);
        counts.ready += usize::from(pod.life == Life::Ready);
    }
    counts
}

/// The next step from `pods` to what is wanted. Pods that are going take no place.
pub(super) fn plan(wanted: &Wanted, pods: &[Seen]) -> Plan {
    let finished = places(pods, |pod| pod.life == Life::Finished);
    let mut current = places(pods, |pod| pod.lives() && pod.current);
    let mut old = places(pods, |pod| pod.lives() && !pod.current);
    let mut delete = finished;
    // What goes first goes last in these lists.
    for list in [&mut current, &mut old] {
        list.sort_by_key(|at| pods.get(*at).map(worth));
        list.reverse();
    }
    let alive = current.len() + old.len();
    let mut create = wanted.replicas.saturating_sub(current.len());
    match wanted.limits {
        Limits::Recreate => {
            if pods
                .iter()
                .any(|pod| !pod.current && pod.life != Life::Finished)
            {
                create = 0;
            }
            delete.append(&mut old);
        }
        Limits::Rolling { surge, unavailable } => {
            let most = wanted.replicas.saturating_add(surge);
            create = create.min(most.saturating_sub(alive));
            let is_ready = |at: &usize| pods.get(*at).is_some_and(|pod| pod.life == Life::Ready);
            let ready = current.iter().chain(&old).filter(|at| is_ready(at)).count();
            let needed = wanted.replicas.saturating_sub(unavailable);
            let mut spare = ready.saturating_sub(needed);
            while let Some(at) = old.pop() {
                if is_ready(&at) {
                    if spare == 0 {
                        break;
                    }
                    spare -= 1;
                }
                delete.push(at);
            }
        }
    }
    while current.len() > wanted.replicas {
        delete.extend(current.pop());
    }
    Plan { create, delete }
}

fn places(pods: &[Seen], of: impl Fn(&Seen) -> bool) -> Vec<usize> {
    let places = pods.iter().enumerate();
    places
        .filter(|(_, pod)| of(pod))
        .map(|(at, _)| at)
        .collect()
}

/// Pods of little worth go first: those not ready, then the newest.
fn worth(pod: &Seen) -> (bool, i64, &str) {
    (pod.life == Life::Ready, -pod.made, &pod.name)
}

#[cfg(test)]
mod tests;
