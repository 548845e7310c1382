#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn packed(kind: &str, raw: Vec<u8>) -> Vec<u8> {
    let of = TypeMeta {
        version: "v1".to_owned(),
        kind: kind.to_owned(),
    };
    let envelope = Envelope { of: Some(of), raw };
    [MAGIC, &envelope.encode_to_vec()].concat()
}

#[test]
fn a_secret_becomes_json() {
    let secret = Secret {
        metadata: Some(ObjectMeta {
            name: "s".to_owned(),
            ..ObjectMeta::default()
        }),
        data: BTreeMap::from([("token".to_owned(), b"x".to_vec())]),
        kind: "Opaque".to_owned(),
        texts: BTreeMap::new(),
    };
    assert_eq!(
        document(&packed("Secret", secret.encode_to_vec())).unwrap(),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" },
            "data": { "token": "eA==" }, "type": "Opaque",
        })
    );
}

#[test]
fn other_kinds_and_other_bytes_are_refused() {
    let error = document(&packed("Deployment", Vec::new())).unwrap_err();
    assert_eq!(error.code, 415);
    assert!(error.message.contains("kubectl apply -f -"));
    assert_eq!(document(b"{}").unwrap_err().code, 400);
}

proptest! {
    #[test]
    fn no_bytes_panic(raw in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = document(&raw);
        for kind in ["Secret", "ConfigMap", "Namespace", "SelfSubjectAccessReview"] {
            let _ = document(&packed(kind, raw.clone()));
        }
    }
}
