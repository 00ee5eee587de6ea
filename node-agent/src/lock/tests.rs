use super::*;

#[test]
fn a_directory_has_one_agent_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let first = StateLock::take(&state).unwrap();
    let error = options::sentence(&StateLock::take(&state).unwrap_err());
    assert!(error.starts_with("another weft-agent uses "), "{error}");
    drop(first);
    StateLock::take(&state).unwrap();
}

#[test]
fn a_kernel_has_one_agent_at_a_time_and_nothing_is_left_of_its_lock() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("weft");
    let first = KernelLock::take_in(&place, 7).unwrap();
    let error = KernelLock::take_in(&place, 7).unwrap_err();
    assert!(matches!(error, LockError::KernelTaken), "{error}");
    let _other = KernelLock::take_in(&place, 8).unwrap();
    drop(first);
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
    // What a killed one left is no lock.
    fs::write(place.join("kernel-7.lock"), "").unwrap();
    KernelLock::take_in(&place, 7).unwrap();
}
