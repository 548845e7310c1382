use proptest::prelude::*;

use super::*;

fn pem(body: &str) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

fn node() -> TlsSecret {
    TlsSecret {
        name: "logscale-core-abcdef".to_owned(),
        managed_by: "humio-operator".to_owned(),
        instance: "logscale".to_owned(),
        authority: pem("QUJD"),
        certificate: pem("bm9kZQ=="),
        has_key: true,
        ..TlsSecret::default()
    }
}

#[test]
fn fates() {
    let now = pem("QUJD");
    let with = |change: fn(&mut TlsSecret)| {
        let mut secret = node();
        change(&mut secret);
        secret
    };
    let table = [
        ("as it should be", node(), Fate::Good),
        (
            "wrapped in another way",
            with(|it| it.authority = pem("QU\r\n JD")),
            Fate::Good,
        ),
        (
            "an old authority beside the new",
            with(|it| it.authority = pem("QQ==") + &pem("QUJD")),
            Fate::Good,
        ),
        (
            "another authority",
            with(|it| it.authority = pem("WFla")),
            Fate::OtherAuthority,
        ),
        (
            "no authority in it",
            with(|it| it.authority.clear()),
            Fate::Incomplete,
        ),
        (
            "no certificate",
            with(|it| it.certificate = "-----BEGIN CERTIFICATE-----".to_owned()),
            Fate::Incomplete,
        ),
        ("no key", with(|it| it.has_key = false), Fate::Incomplete),
        (
            "by cert-manager",
            with(|it| {
                it.managed_by.clear();
                it.issuer = "logscale".to_owned();
                it.authority = pem("WFla");
            }),
            Fate::OtherAuthority,
        ),
        (
            "of another cluster",
            with(|it| {
                it.instance = "other".to_owned();
                it.authority = pem("WFla");
            }),
            Fate::NotOurs,
        ),
        (
            "the global name's",
            with(|it| {
                it.name = "global-tls".to_owned();
                it.managed_by.clear();
                it.issuer = "letsencrypt".to_owned();
                it.authority.clear();
            }),
            Fate::NotOurs,
        ),
        (
            "someone else's with our name",
            with(|it| it.managed_by = "Helm".to_owned()),
            Fate::NotOurs,
        ),
        (
            "the authority",
            with(|it| {
                it.name = "logscale-ca-keypair".to_owned();
                it.authority.clear();
            }),
            Fate::Authority,
        ),
        (
            "mounted",
            with(|it| {
                it.name = "logscale-core-mounted".to_owned();
                it.authority = pem("WFla");
            }),
            Fate::InUse,
        ),
    ];
    let mounted = BTreeSet::from(["logscale-core-mounted".to_owned()]);
    for (name, secret, fate) in table {
        assert_eq!(
            judge(&secret, "logscale", Some(&now), &mounted),
            fate,
            "{name}"
        );
    }
    for gone in [None, Some(""), Some("garbage")] {
        assert_eq!(
            judge(&node(), "logscale", gone, &mounted),
            Fate::NoAuthority
        );
    }
}

fn any_secret() -> impl Strategy<Value = TlsSecret> {
    let cluster = prop_oneof![
        Just("logscale".to_owned()),
        Just(String::new()),
        "[a-z]{1,8}"
    ];
    let by = prop_oneof![
        Just("humio-operator".to_owned()),
        Just(String::new()),
        "[a-z]{1,8}"
    ];
    let name = prop_oneof![Just("logscale-ca-keypair".to_owned()), "[a-z]{1,3}"];
    let text = prop_oneof![Just(pem("QUJD")), Just(String::new()), ".*"];
    (
        name,
        by,
        cluster.clone(),
        cluster,
        text.clone(),
        text,
        any::<bool>(),
    )
        .prop_map(
            |(name, managed_by, instance, issuer, authority, certificate, has_key)| TlsSecret {
                name,
                managed_by,
                instance,
                issuer,
                authority,
                certificate,
                has_key,
                ..TlsSecret::default()
            },
        )
}

proptest! {
    #[test]
    fn only_what_the_operator_makes_anew_is_ever_stale(
        secret in any_secret(), authority in proptest::option::of(".*"),
        mounted in prop::collection::btree_set("[a-z]{1,3}", 0..4), cluster in "(logscale|[a-z]{0,3})",
    ) {
        if judge(&secret, &cluster, authority.as_deref(), &mounted).is_stale() {
            prop_assert!(!cluster.is_empty());
            prop_assert!(secret.name != authority_of(&cluster));
            prop_assert!(!mounted.contains(&secret.name));
            prop_assert!(secret.issuer == cluster || secret.instance == cluster);
        }
    }
}
