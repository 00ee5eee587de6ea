use overlay::{
    id::OperatorId,
    trust::{Subject, subject::CONTROLLER},
};
use uuid::Uuid;
use x509_parser::parse_x509_certificate;

use super::*;

const NOW: WallMs = WallMs(1_800_000_000_000);

fn eve() -> Subject {
    Subject::Operator("eve".parse().unwrap(), OperatorId(Uuid::from_u128(1)))
}

#[test]
fn nothing_but_the_key_is_taken_from_a_request() {
    let (authority, _) = Authority::made(NOW).unwrap();
    let key = KeyPair::generate().unwrap();
    // One that would be a controller, an authority, and for ever.
    let mut greedy = CertificateParams::new(vec![CONTROLLER.into()]).unwrap();
    greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    greedy.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let request = greedy.serialize_request(&key);
    // Whether it can be asked at all is the library's business; what is signed is ours.
    let request = request.unwrap_or_else(|_| {
        let plain = CertificateParams::new(vec![CONTROLLER.into()]).unwrap();
        plain.serialize_request(&key).unwrap()
    });
    let life = Duration::from_secs(3600);
    let asked = Asked::read(request.der()).unwrap();
    let signed = authority.sign(asked, &eve(), NOW, life).unwrap();
    let der = CertificateDer::from_pem_slice(signed.certificate.as_bytes()).unwrap();
    let (_, read) = parse_x509_certificate(&der).unwrap();
    assert!(!read.is_ca());
    assert_eq!(read.validity().not_after.timestamp(), 1_800_003_600);
    let usage = read.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
    let names = read.subject_alternative_name().unwrap().unwrap();
    let names = format!("{:?}", names.value.general_names);
    assert!(
        names.contains("weft://operator/eve") && !names.contains(CONTROLLER),
        "{names}"
    );
    assert_eq!(
        read.public_key().subject_public_key.data.as_ref(),
        key.public_key_raw()
    );
}

#[test]
fn who_does_not_prove_the_key_gets_nothing() {
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default()
        .serialize_request(&key)
        .unwrap();
    let mut forged = request.der().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    for bad in [&forged[..], &forged[..40], b"", b"garbage"] {
        assert!(matches!(Asked::read(bad), Err(SignError::BadRequest(_))));
    }
}

#[test]
fn what_is_sealed_in_the_store_signs_as_before() {
    let (made, key) = Authority::made(NOW).unwrap();
    let seal = Seal::new(Seal::made().unwrap().as_bytes()).unwrap();
    let record = made.record(Some(seal.seal(&key).unwrap()));
    let opened = Authority::opened(&record, &seal).unwrap();
    assert_eq!(opened.fingerprint(), made.fingerprint());
    let outside = Authority::opened(&made.record(None), &seal);
    assert!(outside.err().unwrap().to_string().contains("--ca-cert"));
}
