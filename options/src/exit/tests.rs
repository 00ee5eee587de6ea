use anyhow::{Context, anyhow};

use super::*;

#[test]
fn bad_usage_is_seen_through_its_context() {
    let bad = || BadUsage("--session-ttl must be more than 0".into());
    assert_eq!(Exit::of(&bad().into()), Exit::BadUsage);
    let told = Err::<(), _>(bad()).context("cannot start");
    assert_eq!(Exit::of(&told.expect_err("it is")), Exit::BadUsage);
    let early = NotReady("nobody is there".into());
    assert_eq!(Exit::of(&early.into()), Exit::NotReady);
    assert_eq!(Exit::of(&anyhow!("no route")), Exit::Failed);
}
