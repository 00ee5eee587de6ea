use credentials::{Credentials, Line, Trust, connect::TlsError};
use overlay::{
    id::NodeId,
    record::V1,
    time::WallMs,
    trust::{Caller, Subject},
};
use tokio::net::TcpListener;
use tonic::transport::Endpoint;
use uuid::Uuid;

use super::*;
use crate::trust::authority::Asked;

const DAY: Duration = Duration::from_secs(86_400);

fn node() -> Subject {
    Subject::Node("web-1".parse().unwrap(), NodeId(Uuid::from_u128(1)))
}

/// What an authority gave this node at this time, for a day.
fn given(authority: &Authority, now: WallMs) -> Credentials {
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default();
    let request = request.serialize_request(&key).unwrap();
    let asked = Asked::read(request.der()).unwrap();
    let signed = authority.sign(asked, &node(), now, DAY).unwrap();
    Credentials {
        v: V1,
        subject: node(),
        key: key.serialize_pem(),
        certificate: signed.certificate,
        authority: authority.certificate.clone(),
        issued_at: signed.issued_at,
        expires_at: signed.expires_at,
    }
}

/// Who a controller sees that has this clock, and why the other side would not go on.
async fn meet(
    authority: &Authority,
    clock: &Clock,
    trust: &Trust<'_>,
) -> (Option<Identity>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = config(authority, &[], clock).unwrap();
    let (_keeping, config) = watch::channel(Some(Arc::new(config)));
    let mut door = Door::Tls {
        config,
        plain: false,
    };
    let passing = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        match door.pass(stream).await {
            Ok(Passed::Tls(_, identity) | Passed::Plain(_, identity)) => Some(identity),
            Err(_) => None,
        }
    });
    let endpoint = Endpoint::from_shared(url).unwrap();
    let connected = Line::tls(trust).unwrap().connect(&endpoint).await;
    let why = connected
        .err()
        .map(|error| options::root(&error).to_string());
    (passing.await.unwrap(), why.unwrap_or_default())
}

#[tokio::test]
async fn it_is_known_who_comes_and_until_when() {
    let clock = Clock::system();
    let now = clock.now();
    let (authority, _) = Authority::made(now).unwrap();
    let held = given(&authority, now);
    let (identity, _) = meet(&authority, &clock, &Trust::Known(&held)).await;
    let identity = identity.unwrap();
    assert_eq!(identity.caller(now), Caller::Known(node()));
    let late = identity.caller(now.after(DAY * 3));
    let Caller::Untimely(subject, why) = late else {
        panic!("{late:?}");
    };
    assert_eq!(subject, node());
    assert!(why.starts_with("this certificate expired 2 d ago"), "{why}");
    // It is in whole seconds.
    let over = identity.expired_for(now.after(DAY + Duration::from_secs(1)));
    assert!(
        over.is_some_and(|over| over < Duration::from_secs(2)),
        "{over:?}"
    );
    assert_eq!(identity.expired_for(now), None);
}

#[tokio::test]
async fn clocks_that_are_apart_are_found_out_on_either_side() {
    let clock = Clock::system();
    let now = clock.now();
    let (authority, _) = Authority::made(WallMs(now.0 - DAY.as_millis() as u64 * 30)).unwrap();
    // Of a controller whose clock is days ahead, at one whose is right; and the reverse.
    for (issued, sentence) in [
        (now.after(DAY * 2), "this certificate begins in"),
        (
            WallMs(now.0 - DAY.as_millis() as u64 * 3),
            "this certificate expired 2 d ago",
        ),
    ] {
        let held = given(&authority, issued);
        let (identity, why) = meet(&authority, &clock, &Trust::Known(&held)).await;
        let caller = identity.unwrap_or_else(|| panic!("{why}")).caller(now);
        assert!(
            matches!(&caller, Caller::Untimely(_, why) if why.starts_with(sentence)),
            "{caller:?}"
        );
    }
    // And a controller that is itself months behind.
    let behind = Clock::new(move || WallMs(now.0 - DAY.as_millis() as u64 * 60));
    let held = given(&authority, now);
    let (_, why) = meet(&authority, &behind, &Trust::Known(&held)).await;
    assert!(why.contains("do the clocks agree?"), "{why}");
}

#[tokio::test]
async fn another_fleet_is_not_believed_by_either_side() {
    let clock = Clock::system();
    let (ours, _) = Authority::made(clock.now()).unwrap();
    let (theirs, _) = Authority::made(clock.now()).unwrap();
    let other = TlsError::OtherAuthority.to_string();
    let held = given(&theirs, clock.now());
    let (identity, why) = meet(&ours, &clock, &Trust::Known(&held)).await;
    assert_eq!((identity, why), (None, other.clone()));
    let (identity, why) = meet(&ours, &clock, &Trust::Pinned(theirs.fingerprint())).await;
    assert_eq!((identity, why), (None, other));
    // One that believes us, and shows what another fleet signed.
    let mixed = Credentials {
        authority: ours.certificate.clone(),
        ..held
    };
    let (identity, _) = meet(&ours, &clock, &Trust::Known(&mixed)).await;
    assert_eq!(identity, None);
}

#[tokio::test]
async fn who_has_only_a_token_is_a_stranger_and_who_speaks_plain_text_is_told() {
    let clock = Clock::system();
    let (authority, _) = Authority::made(clock.now()).unwrap();
    let trust = Trust::Pinned(authority.fingerprint());
    let (identity, why) = meet(&authority, &clock, &trust).await;
    assert_eq!((identity, why.as_str()), (Some(Identity::Stranger), ""));
    // A controller's own certificate is good for no client.
    let (chain, key) = authority.controller(&[], clock.now(), DAY).unwrap();
    assert!(Certified::read(&chain[0]).is_none());
    drop(key);
}
