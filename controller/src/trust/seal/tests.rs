use super::{Seal, SealError};

fn is_opened_by_itself_alone(content: &[u8], other: &[u8]) {
    let seal = Seal::new(content).unwrap();
    let sealed = seal.seal("the secret").unwrap();
    assert!(!sealed.text.contains("the secret"));
    assert_eq!(seal.open(&sealed).unwrap(), "the secret");
    let another = Seal::new(other).unwrap();
    assert!(matches!(another.open(&sealed), Err(SealError::Wrong)));
}

#[test]
fn what_a_passphrase_seals() {
    is_opened_by_itself_alone(b"correct horse battery\n", b"correct horse batterx");
}

#[test]
fn what_a_key_seals() {
    let (key, other) = (Seal::made().unwrap(), Seal::made().unwrap());
    is_opened_by_itself_alone(key.as_bytes(), other.as_bytes());
    let seal = Seal::new(key.as_bytes()).unwrap();
    let mut torn = seal.seal("the secret").unwrap();
    torn.text.truncate(torn.text.len() - 2);
    assert!(matches!(seal.open(&torn), Err(SealError::Wrong)));
    torn.text.push('x');
    assert!(matches!(seal.open(&torn), Err(SealError::Damaged)));
}

#[test]
fn one_that_is_too_short_is_refused() {
    assert!(matches!(Seal::new(b" short \n"), Err(SealError::Short(5))));
}
