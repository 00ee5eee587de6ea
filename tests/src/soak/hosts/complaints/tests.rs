use options::clock;

use super::*;
use crate::soak::hosts::diary::Loses;

#[test]
fn the_time_of_a_line_is_read() {
    for ms in [
        0,
        951_782_400_000,
        1_772_323_199_000,
        1_795_273_788_000,
        4_107_542_400_000,
    ] {
        assert_eq!(unix_ms(&clock::utc(ms)), Some(ms), "{}", clock::utc(ms));
    }
    assert_eq!(unix_ms("1970-01-01T00:00:01.25Z"), Some(1250));
    assert_eq!(unix_ms("nothing"), None);
}

#[test]
fn a_line_follows_from_what_was_done_to_its_host() {
    let deed = |act, hosts: &[u32]| Deed {
        act,
        what: String::new(),
        hosts: hosts.to_vec(),
        loses: Loses::Nobody,
        began: Duration::from_secs(100),
        ended: Some(Duration::from_secs(105)),
        healed: None,
    };
    let line = "1970-01-01T00:02:00.5Z  WARN no session with a controller failures=1";
    let complaint = Complaint::parse("agent h1", Some(1), line, 10_000).expect("a line");
    assert_eq!(complaint.at, Duration::from_millis(110_500));
    assert!(
        complaint
            .explained(&[deed(CutFromControllers, &[1])], false)
            .is_some()
    );
    assert!(
        complaint
            .explained(&[deed(ControllersAway, &[])], false)
            .is_some()
    );
    assert_eq!(
        complaint.explained(&[deed(CutFromControllers, &[2])], false),
        None
    );
    assert_eq!(complaint.explained(&[deed(AgentKilled, &[1])], false), None);
    let later = Complaint {
        at: Duration::from_secs(119),
        ..complaint
    };
    assert_eq!(later.explained(&[deed(ControllersAway, &[])], false), None);
    assert!(later.explained(&[], true).is_some());
}
