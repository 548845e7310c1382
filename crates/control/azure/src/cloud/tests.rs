#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn addresses() {
    let none = Environment::default();
    let cloud = Cloud::new(None, &none).unwrap();
    assert_eq!(cloud.audience(), "https://management.azure.com");
    assert_eq!(
        cloud.authority().as_str(),
        "https://login.microsoftonline.com/"
    );
    for good in [
        "http://127.0.0.1:8070",
        "http://localhost:8070/",
        "http://[::1]:8070",
        "https://example.net/arm/",
        "management.azure.com",
    ] {
        Cloud::new(Some(good), &none).unwrap();
    }
    for clear in [
        "http://10.0.0.1",
        "http://localhost.example.net",
        "ftp://127.0.0.1",
    ] {
        let error = Cloud::new(Some(clear), &none).unwrap_err();
        assert!(
            matches!(error, CloudError::InTheClear { .. }),
            "{clear}: {error}"
        );
    }
    for none_at_all in [
        "",
        "https://",
        "https://user@example.net",
        "::",
        "https://[::",
    ] {
        let error = Cloud::new(Some(none_at_all), &none).unwrap_err();
        assert!(
            matches!(error, CloudError::NoUrl { .. }),
            "{none_at_all}: {error}"
        );
    }
    let china: Environment = [("AZURE_AUTHORITY_HOST", "login.chinacloudapi.cn")]
        .into_iter()
        .collect();
    let cloud = Cloud::new(None, &china).unwrap();
    assert_eq!(
        cloud.authority().as_str(),
        "https://login.chinacloudapi.cn/"
    );
    let clear = [("AZURE_AUTHORITY_HOST", "http://login.example.net")];
    Cloud::new(None, &clear.into_iter().collect()).unwrap_err();
}
