use overlay::endpoint::Endpoint;
use serde_json::json;

use super::*;

fn endpoint(key: &str, path: &str, who: &serde_json::Value) -> Endpoint {
    serde_json::from_value(json!({
        "network": "default",
        "key": key,
        "seq": 1,
        "form": "routed",
        "addresses": ["10.32.1.2"],
        "mac": "02:00:00:00:00:01",
        "sandbox": {"path": path, "inode": 1, "interface": "eth0"},
        "who": who,
        "since": 0,
    }))
    .unwrap()
}

fn place(netns: Option<&str>, pid: Option<u32>, container: Option<&str>) -> Place {
    Place {
        named: Named {
            netns: netns.map(PathBuf::from),
            pid,
            container: container.map(|name| name.parse().unwrap()),
        },
        interface: "eth0".parse().unwrap(),
        network: "default".parse().unwrap(),
    }
}

#[test]
fn what_is_gone_is_found_by_what_named_it() {
    let blue = endpoint("attach/7/eth0", "/run/netns/blue", &json!({}));
    assert!(place(Some("blue"), None, None).fits(&blue));
    assert!(place(Some("/run/netns/blue"), None, None).fits(&blue));
    assert!(!place(Some("green"), None, None).fits(&blue));
    assert!(!place(Some("/blue"), None, None).fits(&blue));

    let process = endpoint("attach/7/eth0", "/proc/70/ns/net", &json!({}));
    assert!(place(None, Some(70), None).fits(&process));
    assert!(!place(None, Some(7), None).fits(&process));

    let who = json!({"container": "4f2a7c00", "name": "web"});
    let container = endpoint("attach/7/eth0", "/proc/70/ns/net", &who);
    for name in ["4f2a7c00", "4f2a", "web"] {
        assert!(place(None, None, Some(name)).fits(&container), "{name}");
    }
    for name in ["5f2a", "we"] {
        assert!(!place(None, None, Some(name)).fits(&container), "{name}");
    }
}

#[test]
fn what_others_attached_is_theirs() {
    let by_cni = endpoint("cni/4f2a/eth0", "/run/netns/blue", &json!({}));
    assert!(!place(Some("blue"), None, None).fits(&by_cni));
    let mut elsewhere = place(Some("blue"), None, None);
    elsewhere.interface = "eth1".parse().unwrap();
    let blue = endpoint("attach/7/eth0", "/run/netns/blue", &json!({}));
    assert!(!elsewhere.fits(&blue));
}
