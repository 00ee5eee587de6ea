use super::*;

fn public(addresses: &[&str]) -> Public {
    Public {
        key: "cni/4f2a/eth0".parse().unwrap(),
        addresses: addresses.iter().map(|one| one.parse().unwrap()).collect(),
        mac: "02:00:00:00:00:01".parse().unwrap(),
        who: Who {
            container: Some("4f2a9d0c1b2e3f40".into()),
            name: Some("web".into()),
            aliases: vec!["www".into()],
            labels: [("tier".into(), "front".into())].into(),
        },
        publish: vec!["8080:80".parse().unwrap()],
        since: WallMs(5),
    }
}

#[test]
fn one_address_of_a_family() {
    for good in [
        &["10.32.1.2"][..],
        &["fd77::2"],
        &["10.32.1.2", "fd77::2"],
        &["fd77::2", "10.32.1.2"],
    ] {
        assert_eq!(public(good).check(), Ok(()));
    }
    for bad in [
        &[][..],
        &["10.32.1.2", "10.32.1.3"],
        &["fd77::2", "fd77::3"],
        &["10.32.1.2", "fd77::2", "fd77::3"],
    ] {
        let error = PublicError::Addresses(bad.len());
        assert_eq!(public(bad).check(), Err(error));
    }
}

#[test]
fn what_is_too_much_is_no_record() {
    let good = public(&["10.32.1.2"]);
    let mut many = good.clone();
    many.publish = vec![many.publish[0].clone(); 257];
    assert_eq!(many.check(), Err(PublicError::Ports));
    let mut none = good.clone();
    none.publish[0].host_port = 0;
    assert!(matches!(none.check(), Err(PublicError::Port(_))));
    let mut long = good.clone();
    long.who.aliases = vec!["x".repeat(254)];
    assert!(matches!(long.check(), Err(PublicError::Word(_))));
    let mut blank = good;
    blank.who.name = Some(String::new());
    assert!(matches!(blank.check(), Err(PublicError::Word(_))));
}

#[test]
fn it_has_several_names() {
    let public = public(&["10.32.1.2", "fd77::2"]);
    for name in [
        "web",
        "www",
        "10.32.1.2",
        "fd77::2",
        "fd77:0:0::2",
        "4f2a9d0c1b2e",
        "4f2a9d0c1b2e3f40",
        "cni/4f2a/eth0",
    ] {
        assert!(public.is_called(name), "{name}");
    }
    for other in ["", "we", "Web", "10.32.1.3", "4f2a", "front"] {
        assert!(!public.is_called(other), "{other}");
    }
}
