//! The secrets: there, not empty, and the same in both regions.

use std::collections::BTreeMap;

use backstay_pair::{BucketLocation, Derived, Pair, SecretKey, Side};
use secrecy::ExposeSecret as _;

use crate::fact::{Fact, Held};
use crate::finding::{Check, Finding};

type Secrets = BTreeMap<String, Fact<Held>>;

/// No snapshot carries a secret, so each must be there beforehand. An empty encryption key is a
/// known trap of a standby that was active once.
pub(crate) fn secrets(derived: &Derived, found: &Secrets) -> Finding {
    let check = Check::Secrets;
    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for needed in &derived.secrets {
        match found.get(&needed.name) {
            Some(Fact::Is(held)) => {
                for key in &needed.keys {
                    match held.get(key) {
                        Some(value) if !value.expose_secret().is_empty() => {}
                        Some(_) => wrong.push(format!("{}, key {key} is empty", needed.name)),
                        None => wrong.push(format!("{} has no key {key}", needed.name)),
                    }
                }
            }
            Some(Fact::Absent(_)) => wrong.push(format!("{} is not there", needed.name)),
            Some(Fact::Unknown(why)) => unknown.push(why.clone()),
            None => unknown.push(format!("{} was not read", needed.name)),
        }
    }
    if !wrong.is_empty() {
        return Finding::fails(
            check,
            format!("secret {}", wrong.join("; secret ")),
            format!(
                "copy it from the {source}'s cluster; the bucket's keys are the {source}'s own",
                source = derived.side.other()
            ),
        );
    }
    if let [why, ..] = unknown.as_slice() {
        return Finding::unknown(check, why);
    }
    let keys: usize = derived.secrets.iter().map(|it| it.keys.len()).sum();
    Finding::ok(
        check,
        format!(
            "{} secrets with {keys} keys are there",
            derived.secrets.len()
        ),
    )
}

/// Each region holds both regions' keys, and they must be the same ones. The certificate may
/// differ. What the standby lacks is another check's.
pub(crate) fn secrets_equal(pair: &Pair, primary: &Secrets, standby: &Secrets) -> Finding {
    let check = Check::SecretsEqual;
    let (mut differ, mut unknown, mut equal) = (Vec::new(), Vec::new(), 0_usize);
    for [theirs, ours] in both(pair) {
        match (primary.get(&theirs.secret), standby.get(&ours.secret)) {
            (Some(Fact::Is(there)), Some(Fact::Is(here))) => {
                let value = |held: &Held, at: &SecretKey| {
                    held.get(&at.key).map(|it| it.expose_secret().to_vec())
                };
                match (value(there, theirs), value(here, ours)) {
                    (Some(theirs), Some(ours)) if theirs == ours => equal += 1,
                    // Missing or empty here: told by another check.
                    (_, None) => {}
                    (_, Some(ours)) if ours.is_empty() => {}
                    _ => differ.push(described(theirs, ours)),
                }
            }
            (Some(Fact::Absent(_)), Some(Fact::Is(_))) => differ.push(described(theirs, ours)),
            (Some(Fact::Unknown(why)), _) => unknown.push(why.clone()),
            (_, Some(Fact::Unknown(why))) => unknown.push(why.clone()),
            (_, Some(Fact::Absent(_)) | None) | (None, _) => {}
        }
    }
    if !differ.is_empty() {
        return Finding::fails(
            check,
            format!(
                "not the same in both regions: secret {}",
                differ.join("; secret ")
            ),
            "copy it from the region whose own bucket it is for",
        );
    }
    match unknown.first() {
        Some(why) => Finding::unknown(check, why),
        None => Finding::ok(check, format!("{equal} keys are the same in both regions")),
    }
}

/// Where each key of either region's storage is, in the primary's cluster and in the secondary's.
pub(super) fn both(pair: &Pair) -> impl Iterator<Item = [&SecretKey; 2]> {
    Side::BOTH.into_iter().flat_map(move |of| {
        let storage = &pair.region(of).storage;
        let account = match &storage.place {
            BucketLocation::Azure { account_key, .. } => Some(account_key),
            BucketLocation::Folder { .. } => None,
        };
        let keys = [storage.encryption_key.secret(), account];
        let keys = keys.into_iter().flatten();
        keys.map(move |key| Side::BOTH.map(|side| key.seen_from(side, of)))
    })
}

fn described(theirs: &SecretKey, ours: &SecretKey) -> String {
    let of = |at: &SecretKey| format!("{}, key {}", at.secret, at.key);
    match theirs == ours {
        true => of(ours),
        false => format!("{} (in the primary's cluster {})", of(ours), of(theirs)),
    }
}
