use std::{fs, os::unix::fs::PermissionsExt};

use overlay::{
    id::NodeId,
    record::V1,
    time::WallMs,
    trust::{Role, Subject},
};
use rustls::{AlertDescription, CertificateError, Error};

use crate::{
    connect::{TlsError, explain},
    file::{keep_key, kept_key},
    *,
};

fn held() -> Credentials {
    Credentials {
        v: V1,
        subject: Subject::Node("web-1".parse().unwrap(), NodeId(uuid::Uuid::from_u128(1))),
        key: "the key".into(),
        certificate: "a certificate".into(),
        authority: "an authority".into(),
        issued_at: WallMs(1_000_000),
        expires_at: WallMs(1_300_000),
    }
}

#[test]
fn what_is_written_is_read_again_by_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deep/credentials.json");
    assert_eq!(Credentials::read(&file).unwrap(), None);
    held().write(&file).unwrap();
    // Also over what a crash left beside it.
    fs::write(file.with_extension("new"), "half").unwrap();
    held().write(&file).unwrap();
    assert_eq!(Credentials::read(&file).unwrap(), Some(held()));
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let open = Credentials::read(&file).unwrap_err().to_string();
    assert!(open.contains("chmod 600"), "{open}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for damaged in ["", "{", "{\"v\":2}"] {
        fs::write(&file, damaged).unwrap();
        let error = Credentials::read(&file).unwrap_err();
        assert!(matches!(error, CredentialsError::Damaged { .. }), "{error}");
    }
}

#[test]
fn a_key_is_kept_until_there_is_a_certificate_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials.json");
    assert_eq!(kept_key(&file).unwrap(), None);
    keep_key(&file, "the key").unwrap();
    assert_eq!(kept_key(&file).unwrap().as_deref(), Some("the key"));
    let mode = fs::metadata(key_file(&file)).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    held().write(&file).unwrap();
    assert_eq!(kept_key(&file).unwrap(), None);
}

#[test]
fn a_key_is_shown_to_nobody_by_chance() {
    assert!(!format!("{:?}", held()).contains("key"));
}

#[test]
fn it_is_renewed_at_two_thirds_of_its_time() {
    assert_eq!(held().renew_at(), WallMs(1_200_000));
}

#[test]
fn what_stands_in_the_way_of_tls_is_said_for_people() {
    let sentence = |error: Error| explain(&error).to_string();
    let expired = Error::InvalidCertificate(CertificateError::Expired);
    assert!(sentence(expired).contains("do the clocks agree?"));
    let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
    assert_eq!(sentence(unknown), TlsError::OtherAuthority.to_string());
    let alert = Error::AlertReceived(AlertDescription::UnknownCA);
    assert!(sentence(alert).contains("join with a token"));
    let unreadable = Credentials {
        certificate: String::new(),
        ..held()
    };
    let error = Line::tls(&Trust::Known(&unreadable)).unwrap_err();
    assert!(matches!(error, TlsError::Unreadable(_)), "{error}");
}

#[test]
fn a_role_is_read_as_it_is_written() {
    for role in [Role::Reader, Role::Admin] {
        assert_eq!(role.to_string().parse(), Ok(role));
    }
    assert!("king".parse::<Role>().is_err());
}
