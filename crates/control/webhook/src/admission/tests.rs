#![allow(clippy::unwrap_used, clippy::expect_used)]

use axum::http::Request;

use super::*;

fn shown(uri: &str, authorization: Option<&str>) -> Shown {
    let mut request = Request::builder().uri(uri);
    if let Some(value) = authorization {
        request = request.header("Authorization", value);
    }
    Shown::of(&request.body(()).unwrap().into_parts().0)
}

#[test]
fn credentials_are_found_where_azure_puts_them() {
    for (uri, header, bearer, code) in [
        ("/api/alert", None, None, None),
        ("/api/alert?code=a%2Bb", None, None, Some("a+b")),
        ("/api/alert?x=1&code=c&code=d", None, None, Some("c")),
        ("/api/alert?code=", Some("Bearer "), None, None),
        ("/api/alert", Some("bearer t"), Some("t"), None),
        ("/api/alert", Some("Basic dDp0"), None, None),
        ("/api/alert?Code=x", Some("Bearer"), None, None),
    ] {
        let shown = shown(uri, header);
        assert_eq!(
            (shown.bearer(), shown.code()),
            (bearer, code),
            "{uri} {header:?}"
        );
    }
}

#[tokio::test]
async fn a_secret_lets_in_by_either_way_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "s3cret-s3cret-s3cret\n").unwrap();
    let admission = Admission {
        secret: Some(FileToken::at(&path, "--here").unwrap()),
        entra: None,
    };
    for (uri, header, expected) in [
        ("/?code=s3cret-s3cret-s3cret", None, 200),
        ("/", Some("Bearer s3cret-s3cret-s3cret"), 200),
        ("/?code=s3cret-s3cret-s3cret", Some("Bearer wrong"), 200),
        ("/", None, 401),
        ("/", Some("Basic s3cret-s3cret-s3cret"), 401),
        ("/?code=s3cre", None, 403),
        ("/?code=s3cret-s3cret-s3crets", None, 403),
        ("/", Some("Bearer S3CRET"), 403),
    ] {
        let got = admission.admit(&shown(uri, header)).await;
        let status = got.map_or_else(|it| it.status().as_u16(), |()| 200);
        assert_eq!(status, expected, "{uri} {header:?}");
    }
    assert!(!format!("{admission:?}").contains("s3cret-s3cret-s3cret"));
}
