use super::*;

#[test]
fn a_container_is_called_as_docker_says() {
    let container: Container = serde_json::from_str(
        r#"{"Id":"05c38eb1461e","Name":"/web-1","State":{"Pid":7},
            "Config":{"Labels":{"tier":"front","":"nameless"}},
            "NetworkSettings":{"Networks":{
              "blue":{"EndpointID":"22aa4b","Aliases":["web","05c38eb1461e","web-1"],"NetworkID":"a"},
              "left":{"EndpointID":"","Aliases":null},
              "new":{"EndpointID":"602f91","Aliases":null,"DNSNames":["web-1","front"]}}}}"#,
    )
    .unwrap();
    let all = container.who();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["22aa4b", "602f91"]);
    let (of_blue, of_new) = (&all["22aa4b"], &all["602f91"]);
    assert_eq!(of_blue.container.as_deref(), Some("05c38eb1461e"));
    assert_eq!(of_blue.name.as_deref(), Some("web-1"));
    assert_eq!(of_blue.aliases, ["web", "05c38eb1461e"]);
    assert_eq!(of_new.aliases, ["front"]);
    let labels = BTreeMap::from([("tier".to_owned(), "front".to_owned())]);
    assert_eq!(of_blue.labels, labels);
}

#[test]
fn too_many_names_are_cut_and_not_refused() {
    let aliases: Vec<String> = (0..100).map(|n| format!("n{n}")).collect();
    let container = Container {
        id: "1".into(),
        name: format!("/{}", "x".repeat(1000)),
        config: Config::default(),
        network_settings: Settings {
            networks: Some(BTreeMap::from([(
                "blue".to_owned(),
                Connected {
                    endpoint_id: "e".into(),
                    mac_address: String::new(),
                    aliases: Some(aliases.clone()),
                    dns_names: None,
                },
            )])),
        },
    };
    let who = container.who().remove("e").unwrap();
    assert_eq!(who.check(), Ok(()));
    assert_eq!(who.name, None);
    assert_eq!(who.aliases, aliases[..64]);
}

#[test]
fn which_events_rename_a_container() {
    for (json, id) in [
        (
            r#"{"Type":"network","Action":"connect","Actor":{"ID":"a45d","Attributes":{"container":"05c3","name":"blue","type":"weft"}},"scope":"local","time":1}"#,
            Some("05c3"),
        ),
        (
            r#"{"Type":"container","Action":"rename","Actor":{"ID":"05c3","Attributes":{"name":"b","oldName":"/a"}}}"#,
            Some("05c3"),
        ),
        (r#"{"Type":"image","Actor":{"ID":"x"}}"#, None),
        ("{}", None),
    ] {
        let event: Event = serde_json::from_str(json).unwrap();
        assert_eq!(event.container(), id, "{json}");
    }
}
