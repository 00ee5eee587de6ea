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
