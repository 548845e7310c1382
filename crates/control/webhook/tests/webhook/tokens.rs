//! A tenant of Entra: its keys, served on loopback, and the tokens that it issues.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use backstay_azure::{Cloud, Environment};
use backstay_webhook::{AZURE_MONITOR, Entra};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
pub const AUDIENCE: &str = "api://backstay-alerts";
pub const KEY: &str = "key-1";

/// Keys of these tests, and of nothing else.
pub fn tenants_key() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(include_bytes!("keys/test-tenant.pk8")).unwrap()
}

pub fn forgers_key() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(include_bytes!("keys/test-forger.pk8")).unwrap()
}

pub fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!(
        "{}.{}",
        encoded(header.to_string()),
        encoded(claims.to_string())
    );
    let signature = encoded(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

pub fn by(key: &RsaKeyPair) -> impl FnOnce(&[u8]) -> Vec<u8> {
    |message| {
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            message,
            &mut signature,
        )
        .unwrap();
        signature
    }
}

pub fn header() -> Value {
    json!({ "typ": "JWT", "alg": "RS256", "x5t": KEY, "kid": KEY })
}

/// As in a token of version 1.0.
pub fn claims() -> Value {
    let now = Utc::now().timestamp();
    json!({
        "aud": AUDIENCE,
        "iss": format!("https://sts.windows.net/{TENANT}/"),
        "iat": now - 10, "nbf": now - 10, "exp": now + 3_600,
        "appid": AZURE_MONITOR, "appidacr": "2",
        "roles": ["ActionGroupsSecureWebhook"],
        "tid": TENANT, "ver": "1.0",
    })
}

/// With these claims instead; null takes one away.
pub fn claims_but(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// The login service.
#[derive(Clone)]
pub struct Login {
    pub address: SocketAddr,
    pub asked: Arc<AtomicUsize>,
    pub down: Arc<AtomicBool>,
}

impl Login {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let login = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            down: Arc::default(),
        };
        let router = Router::new().fallback(keys).with_state(login.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        login
    }

    pub fn authority(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn entra(&self) -> Entra {
        let authority = self.authority();
        let environment: Environment = [("AZURE_AUTHORITY_HOST", authority.as_str())]
            .into_iter()
            .collect();
        let cloud = Cloud::new(None, &environment).unwrap();
        let audiences = [AUDIENCE.to_owned(), "the-app-id".to_owned()];
        Entra::new(&cloud, TENANT, &audiences, AZURE_MONITOR).unwrap()
    }
}

async fn keys(State(login): State<Login>, uri: Uri) -> Response {
    login.asked.fetch_add(1, SeqCst);
    if login.down.load(SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    assert_eq!(uri.path(), format!("/{TENANT}/discovery/v2.0/keys"));
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(tenants_key().public());
    let key = json!({
        "kty": "RSA", "use": "sig", "kid": KEY, "x5t": KEY,
        "n": encoded(public.n), "e": encoded(public.e),
    });
    let elliptic = json!({ "kty": "EC", "kid": "ec", "crv": "P-256", "x": "AA", "y": "AA" });
    Json(json!({ "keys": [elliptic, key] })).into_response()
}
