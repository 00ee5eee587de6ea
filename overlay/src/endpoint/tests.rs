use super::*;

#[test]
fn a_device_is_named_by_its_endpoint() {
    let network: NetworkName = "default".parse().expect("a name");
    let key: Key = "cni/4f2a/eth0".parse().expect("a key");
    let id = EndpointId::of(&network, &key);
    let device = id.device();
    assert_eq!(device.len(), 15, "{device}");
    assert_eq!(EndpointId::of_device(&device), Some(id));
    let other: Key = "cni/4f2a/eth1".parse().expect("a key");
    assert_ne!(EndpointId::of(&network, &other), id);
}

#[test]
fn names_of_others_are_no_devices_of_ours() {
    for name in ["wv", "wv0", "wvABCDEF0123456", "wvg000000000000", "eth0"] {
        assert_eq!(EndpointId::of_device(name), None, "{name}");
    }
}

#[test]
fn words_that_do_not_fit_are_refused() {
    assert_eq!("".parse::<Key>(), Err(WordError::Empty { what: "the key" }));
    assert!("a\nb".parse::<Key>().is_err());
    assert!("x".repeat(257).parse::<Key>().is_err());
    let who = Who {
        aliases: vec!["a".into(); 65],
        ..Who::default()
    };
    assert!(who.check().is_err());
}
