use super::*;

const MAC: &str = "02:42:64:f6:92:27";

fn hold(address: &str, by: &str) -> Hold {
    let address = address.parse().unwrap();
    Hold {
        network: "blue".parse().unwrap(),
        address: Some(address),
        family: overlay::subnet::Family::of(address),
        by: by.parse().unwrap(),
    }
}

fn kept(endpoints: &[&str], holds: &[Hold]) -> Kept {
    Kept {
        endpoints: endpoints.iter().map(ToString::to_string).collect(),
        holds: holds.to_vec(),
    }
}

#[test]
fn only_what_no_container_has_twice_is_stale() {
    let living = hold("10.40.3.2", &format!("docker/{MAC}"));
    let stale = hold("10.40.3.3", "docker/02:42:00:00:00:03");
    let nobodys = [
        hold("10.40.3.4", "docker/before"),
        hold("10.40.3.5", "cni/02:42:00:00:00:05"),
        hold("10.40.3.6", "weft"),
    ];
    let all = [&[living, stale.clone()][..], &nobodys].concat();
    let known = Known {
        endpoints: BTreeSet::from(["living".to_owned()]),
        macs: BTreeSet::from([MAC.to_owned()]),
    };
    let first = kept(&["living", "starting", "lost"], &all).without(&known);
    let expected = kept(&["starting", "lost"], std::slice::from_ref(&stale));
    assert_eq!(first, expected);
    // It has started, and another one is about to.
    let known = Known {
        endpoints: BTreeSet::from(["living".to_owned(), "starting".to_owned()]),
        macs: known.macs,
    };
    let later = kept(&["living", "starting", "lost", "new"], &all).without(&known);
    assert_eq!(first.still(&later), kept(&["lost"], &[stale]));
}
