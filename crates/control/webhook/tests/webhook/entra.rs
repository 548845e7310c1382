//! Tokens of Entra: the real ones, and every forgery we could think of.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use backstay_azure::{Cloud, Environment};
use backstay_webhook::{AZURE_MONITOR, Entra, EntraError, Options, RefusalKind};
use chrono::{TimeDelta, Utc};
use ring::hmac;
use ring::signature::KeyPair as _;
use serde_json::{Value, json};

use crate::curl::{Answer, curl};
use crate::rig::{HANG, RULE, Rig, SECRET, fired, on_loopback, secret};
use crate::tokens::{
    Login, TENANT, by, claims, claims_but, encoded, forgers_key, header, signed, tenants_key,
};

async fn start() -> (Login, Rig) {
    let login = Login::start().await;
    let mut options = Options::new(on_loopback(), RULE.parse().unwrap());
    options.entra = Some(login.entra());
    let rig = Rig::with(options).await;
    (login, rig)
}

fn token(changes: &Value) -> String {
    signed(&header(), &claims_but(changes), by(&tenants_key()))
}

async fn post(rig: &Rig, token: &str) -> Answer {
    let body = fired("a", TimeDelta::zero()).to_string();
    let line = format!("header = \"Authorization: Bearer {token}\"");
    curl(&rig.url("/api/alert"), &[&line], Some(body.as_bytes())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_monitors_tokens_of_both_versions_are_taken() {
    let (login, mut rig) = start().await;
    let version_2 = json!({
        "iss": format!("{}/{TENANT}/v2.0", login.authority()),
        "aud": "the-app-id", "appid": null, "azp": AZURE_MONITOR, "ver": "2.0",
    });
    // Nothing is asked of anybody before a token comes.
    assert_eq!(login.asked.load(SeqCst), 0);
    for changes in [json!({}), version_2, json!({ "aud": ["x", "the-app-id"] })] {
        let token = token(&changes);
        let answer = post(&rig, &token).await;
        assert_eq!(answer.status, 200, "{changes}: {}", answer.body);
        rig.alert().await;
        assert!(!rig.logs.text().contains(&token));
    }
    assert_eq!(login.asked.load(SeqCst), 1);
    // The keys are kept, whatever becomes of the login service.
    login.down.store(true, SeqCst);
    assert_eq!(post(&rig, &token(&json!({}))).await.status, 200);
    assert_eq!(login.asked.load(SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn forgeries_are_refused_and_the_log_says_why() {
    let (login, mut rig) = start().await;
    let begun = Instant::now();
    let (ours, forger) = (tenants_key(), forgers_key());
    let now = Utc::now().timestamp();
    let header_but = |name: &str, value: Value| {
        let mut header = header();
        header[name] = value;
        header
    };
    let hs256 = |key: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        signed(&header_but("alg", json!("HS256")), &claims(), |message| {
            hmac::sign(&key, message).as_ref().to_vec()
        })
    };
    let public = ring::signature::RsaPublicKeyComponents::<Vec<u8>>::from(ours.public());
    let genuine = token(&json!({}));
    let (before, signature) = genuine.rsplit_once('.').unwrap();
    let (head, _) = before.split_once('.').unwrap();
    let other_claims = encoded(claims_but(&json!({ "sub": "somebody" })).to_string());
    let mut no_kid = header();
    no_kid.as_object_mut().unwrap().remove("kid");

    let cases = [
        (
            "no algorithm",
            signed(&header_but("alg", json!("none")), &claims(), |_| Vec::new()),
            "not a valid JWT",
        ),
        (
            "none, in capitals",
            signed(&header_but("alg", json!("NONE")), &claims(), |_| Vec::new()),
            "not a valid JWT",
        ),
        (
            "the public key as a secret",
            hs256(ours.public_key().as_ref()),
            "RS256",
        ),
        ("its modulus as a secret", hs256(&public.n), "RS256"),
        (
            "its modulus as a secret, as sent",
            hs256(encoded(&public.n).as_bytes()),
            "RS256",
        ),
        (
            "another RSA algorithm",
            signed(&header_but("alg", json!("RS512")), &claims(), by(&ours)),
            "RS256",
        ),
        (
            "another key",
            signed(&header(), &claims(), by(&forger)),
            "signature",
        ),
        (
            "a key in the token",
            signed(
                &header_but(
                    "jwk",
                    json!({ "kty": "RSA", "n": encoded(&public.n), "e": "AQAB" }),
                ),
                &claims(),
                by(&forger),
            ),
            "signature",
        ),
        (
            "a key elsewhere",
            signed(
                &header_but("jku", json!("http://127.0.0.1:1/keys")),
                &claims(),
                by(&forger),
            ),
            "signature",
        ),
        (
            "other claims",
            format!("{head}.{other_claims}.{signature}"),
            "signature",
        ),
        ("no signature", format!("{before}."), "signature"),
        (
            "a cut signature",
            format!("{before}.{}", &signature[..40]),
            "signature",
        ),
        ("no key named", signed(&no_kid, &claims(), by(&ours)), "kid"),
        (
            "an unknown key",
            signed(&header_but("kid", json!("key-2")), &claims(), by(&ours)),
            "kid",
        ),
        (
            "a key of another kind",
            signed(&header_but("kid", json!("ec")), &claims(), by(&ours)),
            "kid",
        ),
        (
            "another audience",
            token(&json!({ "aud": "api://other" })),
            "aud",
        ),
        ("no audience", token(&json!({ "aud": null })), "lacks"),
        (
            "another tenant",
            token(
                &json!({ "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/" }),
            ),
            "iss",
        ),
        (
            "the issuer of all tenants",
            token(&json!({ "iss": "https://sts.windows.net/" })),
            "iss",
        ),
        ("no issuer", token(&json!({ "iss": null })), "lacks"),
        ("expired", token(&json!({ "exp": now - 3_600 })), "exp"),
        ("without end", token(&json!({ "exp": null })), "lacks"),
        (
            "an end in words",
            token(&json!({ "exp": "never" })),
            "lacks",
        ),
        (
            "from tomorrow",
            token(&json!({ "nbf": now + 86_400 })),
            "nbf",
        ),
        (
            "a beginning in words",
            token(&json!({ "nbf": "tomorrow" })),
            "lacks",
        ),
        (
            "another application",
            token(&json!({ "appid": TENANT })),
            "appid",
        ),
        ("a person", token(&json!({ "appid": null })), "appid"),
        ("noise", "x.y.z".to_owned(), "not a valid JWT"),
        (
            "too long",
            format!("{}.{genuine}", "x".repeat(17 << 10)),
            "longer",
        ),
        ("the rig's secret", SECRET.to_owned(), "not a valid JWT"),
    ];
    for (name, forged, expected) in &cases {
        let before = rig.logs.text().len();
        let answer = post(&rig, forged).await;
        assert_eq!(answer.status, 403, "{name}: {}", answer.body);
        let logs = rig.logs.text();
        let said = logs[before..]
            .lines()
            .find(|it| it.contains("is refused"))
            .unwrap();
        assert!(said.contains(expected), "{name}: {said}");
        assert!(!logs.contains(forged.as_str()), "{name}");
    }
    let count = u64::try_from(cases.len()).unwrap();
    assert_eq!(rig.counts().refused_as(RefusalKind::Forbidden), count);
    // Tokens that name unknown keys have not made it ask each time, but every 30 s at most.
    let asked = u64::try_from(login.asked.load(SeqCst)).unwrap();
    assert!(asked <= 1 + begun.elapsed().as_secs() / 30, "{asked}");
    // A token is no parameter, and without one there is nothing to judge.
    let url = rig.url(&format!("/api/alert?code={genuine}"));
    assert_eq!(curl(&url, &[], Some(b"{}")).await.status, 401);
    rig.nothing_more();
    assert_eq!(post(&rig, &genuine).await.status, 200);
    rig.alert().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_azure_is_asked_to_try_again() {
    let (login, mut rig) = start().await;
    login.down.store(true, SeqCst);
    let token = token(&json!({}));
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(post(&rig, &token).await.status, 503);
    }
    let asked = u64::try_from(login.asked.load(SeqCst)).unwrap();
    assert!(asked <= 1 + begun.elapsed().as_secs() / 3, "{asked}");
    assert!(rig.logs.text().contains("signing keys cannot be read"));
    login.down.store(false, SeqCst);
    let begun = Instant::now();
    while post(&rig, &token).await.status != 200 {
        assert!(begun.elapsed() < HANG);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    rig.alert().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_and_tokens_can_be_taken_beside_each_other() {
    let login = Login::start().await;
    let mut options = Options::new(on_loopback(), RULE.parse().unwrap());
    options.entra = Some(login.entra());
    options.secret = Some(secret());
    let rig = Rig::with(options).await;
    assert_eq!(post(&rig, SECRET).await.status, 200);
    assert_eq!(login.asked.load(SeqCst), 0);
    assert_eq!(post(&rig, &token(&json!({}))).await.status, 200);
    assert_eq!(post(&rig, &token(&json!({ "aud": "x" }))).await.status, 403);
    let url = rig.url("/api/alert?code=wrong");
    assert_eq!(curl(&url, &[], Some(b"{}")).await.status, 403);
    let url = rig.url("/api/alert");
    assert_eq!(curl(&url, &[], Some(b"{}")).await.status, 401);
}

#[test]
fn what_cannot_be_used_is_said_at_the_start() {
    let nothing: Environment = Vec::<(String, String)>::new().into_iter().collect();
    let cloud = Cloud::new(None, &nothing).unwrap();
    let some = ["api://x".to_owned()];
    let error = Entra::new(&cloud, "contoso.com", &some, AZURE_MONITOR).unwrap_err();
    assert!(matches!(error, EntraError::Tenant(_)), "{error}");
    let error = Entra::new(&cloud, TENANT, &[" ".to_owned()], AZURE_MONITOR).unwrap_err();
    assert_eq!(error, EntraError::Audience);
    let error = Entra::new(&cloud, TENANT, &some, "AzNS AAD Webhook").unwrap_err();
    assert!(error.to_string().contains(AZURE_MONITOR), "{error}");
}
