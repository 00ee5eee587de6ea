//! Passwords and certificates, against an etcd that insists on them.

use std::{fs, path::PathBuf};

use anyhow::{Result, bail};
use controller::store::{
    KeptAlive, Store, StoreError,
    etcd::{ConnectError, Etcd, EtcdIdentity, EtcdOptions, EtcdTls},
};
use std::time::Duration;
use tests::{
    certificates::{Authority, Certificate},
    etcd::{Etcd as Server, ServerTls},
};

use crate::ground::{batch, commit, contents, create, eventually, key, options, put_with_ttl};

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_a_password() -> Result<()> {
    let mut server = Server::start()?;
    for command in [
        "user add root:secret",
        "user add weft:pass",
        "role add weft",
        "role grant-permission weft --prefix=true readwrite /weft/",
        "user grant-role weft weft",
        "user grant-role root root",
        "auth enable",
    ] {
        server.etcdctl(command.split(' '))?;
    }
    let with = |user: Option<(&str, &str)>| {
        let user = user.map(|(name, password)| (name.to_owned(), password.to_owned()));
        Etcd::connect(EtcdOptions {
            user,
            ..options(&server)
        })
    };
    let store = with(Some(("weft", "pass")))?;
    let start = store.load().await?.revision;
    let mut events = store.watch(start).await?;
    let ttl = store.grant(Duration::from_secs(600)).await?;
    let group = [create(&key("a"), "1"), put_with_ttl(&key("b"), ttl)];
    assert_eq!(commit(&store, group).await?.held, [true, true]);
    assert_eq!(batch(&mut events).await?.changes.len(), 2);
    assert_eq!(store.keep_alive(ttl).await?, KeptAlive::Alive);

    for stranger in [None, Some(("weft", "wrong")), Some(("nobody", "pass"))] {
        let store = with(stranger)?;
        let told = unavailable(&store).await?;
        let why = ["user name is empty", "authentication failed"];
        assert!(why.iter().any(|why| told.contains(why)), "{told}");
    }

    // Its token is forgotten by the server and fetched again.
    server.restart()?;
    eventually("it is let in again", || contents(&store)).await?;
    assert_eq!(commit(&store, [create(&key("c"), "1")]).await?.held, [true]);
    assert_eq!(store.keep_alive(ttl).await?, KeptAlive::Alive);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_on_both_sides() -> Result<()> {
    let authority = Authority::new()?;
    let Certificate { cert, key: secret } = authority.sign("etcd")?;
    let server = Server::start_tls(ServerTls {
        ca: authority.ca(),
        cert,
        key: secret,
    })?;
    let with = |ca: PathBuf, identity: Option<Certificate>| {
        let identity = identity.map(|Certificate { cert, key }| EtcdIdentity { cert, key });
        let tls = Some(EtcdTls { ca, identity });
        Etcd::connect(EtcdOptions {
            tls,
            ..options(&server)
        })
    };
    let store = with(authority.ca(), Some(authority.sign("controller")?))?;
    let mut events = store.watch(store.load().await?.revision).await?;
    commit(&store, [create(&key("a"), "1")]).await?;
    assert_eq!(batch(&mut events).await?.changes.len(), 1);

    let other = Authority::new()?;
    unavailable(&with(other.ca(), Some(authority.sign("controller")?))?).await?;
    unavailable(&with(authority.ca(), Some(other.sign("controller")?))?).await?;
    unavailable(&with(authority.ca(), None)?).await?;
    Ok(())
}

#[tokio::test]
async fn bad_options_are_told_at_once() -> Result<()> {
    let nothing = |endpoints: &[&str], tls: Option<EtcdTls>| {
        Etcd::connect(EtcdOptions {
            endpoints: endpoints.iter().map(ToString::to_string).collect(),
            prefix: "/weft".to_owned(),
            user: None,
            tls,
        })
    };
    let directory = tempfile::TempDir::new()?;
    let ca = directory.path().join("ca.pem");
    fs::write(&ca, "")?;
    let tls = Some(EtcdTls {
        ca: ca.clone(),
        identity: None,
    });
    assert!(matches!(nothing(&[], None), Err(ConnectError::NoEndpoint)));
    for odd in ["", "http://", "ftp://a:1", "a b"] {
        let refused = nothing(&[odd], None);
        assert!(
            matches!(refused, Err(ConnectError::NotAUrl { .. })),
            "{odd}: {refused:?}"
        );
    }
    let refused = nothing(&["http://a:1"], tls.clone());
    assert!(
        matches!(refused, Err(ConnectError::NotTls { .. })),
        "{refused:?}"
    );
    let refused = nothing(&["https://a:1"], None);
    assert!(
        matches!(refused, Err(ConnectError::NoCa { .. })),
        "{refused:?}"
    );
    assert!(nothing(&["a:2379", "https://b:2379"], tls.clone()).is_ok());
    fs::remove_file(ca)?;
    let refused = nothing(&["a:2379"], tls);
    assert!(
        matches!(refused, Err(ConnectError::Pem { .. })),
        "{refused:?}"
    );
    Ok(())
}

async fn unavailable(store: &Etcd) -> Result<String> {
    match store.load().await {
        Err(StoreError::Unavailable { reason, .. }) => Ok(reason),
        other => bail!("not unavailable: {other:?}"),
    }
}
