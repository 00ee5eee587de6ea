use super::*;

fn said(applied_revision: Revision, mtu: u32, troubled: usize) -> v1::NetworkReport {
    let trouble = |n: usize| v1::PeerTrouble {
        node: format!("n{n}"),
        reason: "File exists".into(),
    };
    v1::NetworkReport {
        network: "blue".into(),
        applied_revision,
        mtu,
        peers: 7,
        troubled: (0..troubled).map(trouble).collect(),
        ..v1::NetworkReport::default()
    }
}

#[test]
fn the_last_word_counts_and_what_is_applied_stays() {
    let mut word = Word::default();
    word.hear(said(9, 1450, 2), WallMs(1));
    assert_eq!((word.applied, word.mtu, word.peers), (9, 1450, 7));
    assert_eq!((word.troubled.len(), word.at), (2, Some(WallMs(1))));
    word.hear(said(4, 1400, 0), WallMs(2));
    assert_eq!((word.applied, word.mtu), (9, 1400));
    assert_eq!((word.troubled.len(), word.at), (0, Some(WallMs(2))));
}

#[test]
fn of_many_troubled_peers_some_are_remembered() {
    let mut word = Word::default();
    word.hear(said(1, 1450, 1000), WallMs(1));
    assert_eq!(word.troubled.len(), MOST_TROUBLED);
    assert_eq!(word.troubled[0].node, "n0");
}

#[test]
fn an_agent_that_says_less_is_heard() {
    let mut word = Word::default();
    let less = v1::NetworkReport {
        network: "blue".into(),
        applied_revision: 3,
        ..v1::NetworkReport::default()
    };
    word.hear(less, WallMs(1));
    assert_eq!((word.applied, word.mtu, word.peers), (3, 0, 0));
}
