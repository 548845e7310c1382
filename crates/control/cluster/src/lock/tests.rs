#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_renewal_is_always_another_time(seconds in -2_000_000_000_i64..40_000_000_000, micros in 0..1_000_000_i32) {
        let old = MicroTime(Timestamp::new(seconds, micros * 1000).unwrap());
        let new = later(Some(&old));
        // As it is written: to the microsecond.
        prop_assert!(new.0.as_microsecond() > old.0.as_microsecond());
        prop_assert!(new.0 >= Timestamp::UNIX_EPOCH);
    }
}

#[test]
fn what_a_lease_says() {
    let lease = |spec: serde_json::Value| -> Lease {
        let lease = serde_json::json!({ "metadata": { "resourceVersion": "7" }, "spec": spec });
        serde_json::from_value(lease).unwrap()
    };
    let table = [
        (serde_json::json!({}), "", 0),
        (serde_json::json!({ "holderIdentity": "a" }), "a", 0),
        (
            serde_json::json!({ "holderIdentity": "a", "leaseDurationSeconds": 15 }),
            "a",
            15,
        ),
        (
            serde_json::json!({ "holderIdentity": "", "leaseDurationSeconds": -15 }),
            "",
            0,
        ),
    ];
    for (spec, holder, seconds) in table {
        let record = record(&lease(spec));
        assert_eq!(
            (record.holder.as_str(), record.duration.as_secs()),
            (holder, seconds)
        );
        assert_eq!(record.version, "7");
    }
}
