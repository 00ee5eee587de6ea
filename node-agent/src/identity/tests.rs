use super::*;

#[test]
fn an_identity_is_made_once_and_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let first = Identity::open(&directory.path().join("state")).unwrap();
    let again = Identity::open(&directory.path().join("state")).unwrap();
    assert_eq!((first.id(), first.mac()), (again.id(), again.mac()));
}

#[test]
fn a_session_is_on_disk_before_it_is_said_and_the_confirmed_one_stays() {
    let directory = tempfile::tempdir().unwrap();
    let mut identity = Identity::open(directory.path()).unwrap();
    let confirmed = identity.next_session().unwrap();
    identity.confirm(confirmed).unwrap();
    let tried: Vec<SessionId> = (0..20).map(|_| identity.next_session().unwrap()).collect();
    let again = Identity::open(directory.path()).unwrap();
    assert_eq!(again.previous().first(), Some(&confirmed));
    assert_eq!(again.previous().last(), tried.last());
    assert!(again.previous().len() <= MOST_PREVIOUS);
}

/// Its hello was taken for lost, and comes after the next one's.
#[test]
fn a_session_that_was_tried_is_known_after_another_is_confirmed() {
    let directory = tempfile::tempdir().unwrap();
    let mut identity = Identity::open(directory.path()).unwrap();
    let late = identity.next_session().unwrap();
    let confirmed = identity.next_session().unwrap();
    identity.confirm(confirmed).unwrap();
    let again = Identity::open(directory.path()).unwrap();
    assert_eq!(again.previous(), [confirmed, late]);
}

#[test]
fn a_torn_identity_is_an_error_and_not_a_new_machine() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identity.json");
    fs::write(&path, "{\"v\":1,\"id\":").unwrap();
    let error = options::sentence(&Identity::open(directory.path()).unwrap_err());
    assert!(error.contains("is damaged"), "{error}");
    assert_eq!(error.matches("EOF while parsing").count(), 1, "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"v\":1,\"id\":");
}

#[test]
fn who_peeks_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("state");
    assert!(Identity::peek(&nowhere).unwrap().is_none());
    assert!(!nowhere.exists());
    let identity = Identity::open(&nowhere).unwrap();
    let peeked = Identity::peek(&nowhere).unwrap().unwrap();
    assert_eq!((peeked.id(), peeked.mac()), (identity.id(), identity.mac()));
}
