#![allow(clippy::unwrap_used)]

use super::*;

fn read(vars: &[(&str, &str)]) -> Result<(Option<TlsFiles>, Option<Authority>), ConfigError> {
    let vars = |name: &str| {
        let found = vars.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    from_env(&Reader { vars: &vars })
}

#[test]
fn what_the_operator_sets_leads_to_the_pem_files_beside_its_keystores() {
    let folder = "/var/lib/humio/tls-certificate-secret";
    let (files, authority) = read(&[
        (KEYSTORE, &format!("{folder}/keystore.jks")),
        (TRUSTSTORE, &format!("{folder}/truststore.jks")),
        ("TLS_KEYSTORE_PASSWORD", "not read"),
    ])
    .unwrap();
    let files = files.unwrap();
    assert_eq!(files.certificate, Path::new(folder).join("tls.crt"));
    assert_eq!(files.key, Path::new(folder).join("tls.key"));
    assert_eq!(files.named_by, KEYSTORE);
    let authority = authority.unwrap();
    assert_eq!(authority.file, Path::new(folder).join("ca.crt"));
    assert!(!authority.is_required);
}

#[test]
fn a_truststore_elsewhere_and_none_at_all() {
    let keystore = (KEYSTORE, "/keys/keystore.p12");
    let (_, authority) = read(&[keystore]).unwrap();
    assert_eq!(authority.unwrap().file, Path::new("/keys/ca.crt"));
    let (files, authority) = read(&[keystore, (TRUSTSTORE, "/trust/truststore.p12")]).unwrap();
    assert_eq!(files.unwrap().key, Path::new("/keys/tls.key"));
    assert_eq!(authority.unwrap().file, Path::new("/trust/ca.crt"));
    assert_eq!(read(&[]).unwrap(), (None, None));
}

#[test]
fn files_by_name_win_and_come_in_pairs() {
    let (files, authority) = read(&[
        (KEYSTORE, "/keys/keystore.jks"),
        (CERTIFICATE, "/pem/cert"),
        (KEY, "/pem/key"),
        (AUTHORITY, "/pem/ca"),
    ])
    .unwrap();
    let files = files.unwrap();
    assert_eq!(files.certificate, Path::new("/pem/cert"));
    assert_eq!(files.key, Path::new("/pem/key"));
    let authority = authority.unwrap();
    assert_eq!(authority.file, Path::new("/pem/ca"));
    assert!(authority.is_required);
    for (set, other) in [(CERTIFICATE, KEY), (KEY, CERTIFICATE)] {
        let error = read(&[(set, "/x")]).unwrap_err().to_string();
        assert!(error.starts_with(set) && error.contains(other), "{error}");
    }
}
