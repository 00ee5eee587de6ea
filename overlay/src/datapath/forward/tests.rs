use super::*;

#[test]
fn outsiders_get_in_only_as_an_answer_or_by_a_published_port() {
    let pool: Subnet = "10.31.0.0/16".parse().unwrap();
    let mut pass = Pass {
        pools: [pool].into(),
        direct: BTreeSet::new(),
    };
    let rules = pass.rules();
    let state = "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT";
    assert_eq!(
        rules,
        [
            "-A WEFT-FORWARD -s 10.31.0.0/16 -d 10.31.0.0/16 -i weft+ -j ACCEPT".to_owned(),
            "-A WEFT-FORWARD -s 10.31.0.0/16 -i wv+ -j ACCEPT".into(),
            format!("-A WEFT-FORWARD -d 10.31.0.0/16 -o wv+ {state}"),
            "-A WEFT-FORWARD -s 10.31.0.0/16 -i weftbr+ -j ACCEPT".into(),
            format!("-A WEFT-FORWARD -d 10.31.0.0/16 -o weftbr+ {state}"),
        ]
    );
    pass.direct.insert(("eth0".into(), pool));
    let direct = "-A WEFT-FORWARD -s 10.31.0.0/16 -d 10.31.0.0/16 -i eth0 -j ACCEPT";
    assert_eq!(pass.rules()[5..], [direct]);
    assert_eq!(Pass::default().rules(), [""; 0]);
}

#[test]
fn the_jump_is_the_first_and_the_only_one() {
    let rules = vec!["-A WEFT-FORWARD -j ACCEPT".to_owned()];
    let seen = |jumps: &[usize], rules: Option<&[String]>| Seen {
        could_drop: true,
        jumps: jumps.into(),
        rules: rules.map(Into::into),
    };
    assert!(seen(&[1], Some(&rules)).is(&rules));
    assert!(!seen(&[2], Some(&rules)).is(&rules));
    assert!(!seen(&[1, 3], Some(&rules)).is(&rules));
    assert!(!seen(&[], Some(&rules)).is(&rules));
    assert!(!seen(&[1], Some(&[])).is(&rules));
    assert!(!seen(&[1], None).is(&rules));
    assert!(seen(&[], Some(&[])).is_any());
    assert!(!seen(&[], None).is_any());
}
