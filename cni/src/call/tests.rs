use std::collections::BTreeMap;

use super::{Arguments, Attachment, Call};
use crate::failure::{Code, Failure};

fn call(variables: &[(&str, &str)]) -> Result<Call, Failure> {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    Call::read(|name| variables.get(name).map(ToString::to_string))
}

fn add(id: &str, interface: &str) -> Result<Call, Failure> {
    call(&[
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", id),
        ("CNI_NETNS", "/run/netns/a"),
        ("CNI_IFNAME", interface),
    ])
}

#[test]
fn an_attachment_is_its_container_and_interface() {
    let Ok(Call::Add(attachment, arguments)) = add("4f-2a_b.1", "eth0") else {
        panic!("a good call");
    };
    assert_eq!(attachment.key().as_str(), "cni/4f-2a_b.1/eth0");
    assert_eq!(attachment.netns, "/run/netns/a");
    assert_eq!(arguments, Arguments::default());
}

#[test]
fn ids_and_names_are_as_the_specification_has_them() {
    let long = "a".repeat(201);
    for id in ["-a", ".a", "_a", "a b", "a/b", "ä", "a\n", long.as_str()] {
        let failure = add(id, "eth0").expect_err(id);
        assert_eq!(failure.code, Code::Environment, "{id}");
        assert!(failure.details.contains("CNI_CONTAINERID"), "{failure:?}");
    }
    for name in [".", "..", "a/b", "a:b", "a b", "a\tb", "sixteen-letters-"] {
        let failure = add("a", name).expect_err(name);
        assert_eq!(failure.code, Code::Environment, "{name}");
        assert!(failure.details.contains("CNI_IFNAME"), "{failure:?}");
    }
    assert!(add(&"a".repeat(200), "fifteen-letters").is_ok());
}

#[test]
fn whatever_is_missing_is_named() {
    let failure = call(&[("CNI_COMMAND", "ADD")]).expect_err("nothing else is set");
    assert_eq!(
        failure.details,
        "CNI_CONTAINERID, CNI_IFNAME, CNI_NETNS: not set"
    );
    let failure = call(&[("CNI_COMMAND", "CHECK"), ("CNI_CONTAINERID", "a")]);
    let failure = failure.expect_err("two are missing");
    assert_eq!(failure.details, "CNI_IFNAME, CNI_NETNS: not set");
    for verb in ["", "add", "ADDD"] {
        let failure = call(&[("CNI_COMMAND", verb)]).expect_err(verb);
        assert!(failure.details.contains("CNI_COMMAND"), "{failure:?}");
    }
}

#[test]
fn a_del_needs_no_namespace_and_reads_no_arguments() {
    let gone = call(&[
        ("CNI_COMMAND", "DEL"),
        ("CNI_CONTAINERID", "a"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_NETNS", ""),
        ("CNI_ARGS", "garbage"),
    ]);
    let expected = Attachment::new("a", "eth0", "").expect("good words");
    assert_eq!(gone, Ok(Call::Del(expected)));
}

#[test]
fn some_verbs_need_nothing() {
    for (verb, expected) in [
        ("GC", Call::Gc),
        ("STATUS", Call::Status),
        ("VERSION", Call::Version),
    ] {
        assert_eq!(call(&[("CNI_COMMAND", verb)]), Ok(expected));
    }
}

#[test]
fn arguments_are_pairs_and_unknown_ones_may_be_passed_over() {
    let read = |text: &str| Arguments::read(text);
    let kubernetes = "IgnoreUnknown=1;K8S_POD_UID=7;K8S_POD_NAME=web-0;NEW=a=b;";
    let arguments = read(kubernetes).expect("good arguments");
    assert_eq!(arguments.get("K8S_POD_NAME"), Some("web-0"));
    assert_eq!(arguments.get("NEW"), Some("a=b"));
    assert_eq!(read("IP=;MAC=").expect("pairs").get("IP"), None);
    for known in ["", ";", "IP=10.0.0.1", "IgnoreUnknown=true;FOO=BAR"] {
        assert!(read(known).is_ok(), "{known}");
    }
    for unknown in ["FOO=BAR", "IgnoreUnknown=0;FOO=BAR", "IP"] {
        let failure = read(unknown).expect_err(unknown);
        assert_eq!(failure.code, Code::Environment);
        assert!(failure.details.contains("CNI_ARGS"), "{failure:?}");
    }
}
