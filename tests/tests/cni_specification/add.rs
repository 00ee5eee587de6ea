//! What ADD must do.

use std::{collections::BTreeSet, thread};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::{
    cni::{Attachment, List, addresses, refused},
    lab::Namespace,
};

use crate::ground::{Ground, VERSIONS, container, held};

#[test]
fn add_answers_in_the_version_it_was_asked_in() -> Result<()> {
    let ground = Ground::new()?;
    for version in VERSIONS {
        let (_namespace, attachment) = container(&format!("c-{version}"))?;
        let list = ground.list.at(version);
        let result = ground.runtime.add(&list, &attachment)?;
        assert_eq!(result["cniVersion"], version);
        let newest = version == "1.1.0";
        let ours = &result["interfaces"][1];
        assert_eq!(ours.get("mtu").is_some(), newest, "{result}");
        let old = version.starts_with("0.");
        for ip in result["ips"].as_array().context("ips")? {
            assert_eq!(ip.get("version").is_some(), old, "{result}");
        }
        ground.runtime.del(&list, &attachment)?;
    }
    assert_eq!(ground.list.version, "1.1.0");
    let old = ground.directory.path().join("net.d/10-weft.conflist");
    assert_eq!(List::read(&old, &[])?.version, "1.0.0");
    Ok(())
}

#[test]
fn what_add_says_is_in_the_container() -> Result<()> {
    let ground = Ground::new()?;
    let (namespace, mut attachment) = container("c1")?;
    attachment.interface = "net7".into();
    let result = ground.runtime.add(&ground.list, &attachment)?;
    let interface = &result["interfaces"][1];
    assert_eq!(interface["name"], "net7");
    assert_eq!(interface["sandbox"], attachment.netns.as_str());
    let links = namespace.json(&["ip", "-j", "link", "show", "dev", "net7"])?;
    assert_eq!(links[0]["address"], interface["mac"]);
    assert_eq!(links[0]["mtu"], interface["mtu"]);
    assert_eq!(held(&namespace, "net7")?, addresses(&result));
    assert_eq!(addresses(&result).len(), 2);
    let host = ground.lab.host(1).json(&["ip", "-j", "link"])?;
    let host = host.as_array().context("links")?;
    let end = &result["interfaces"][0];
    let end_of = host.iter().find(|link| link["ifname"] == end["name"]);
    assert_eq!(end_of.context("the host's end")?["address"], end["mac"]);
    for (family, everything) in [("-4", "0.0.0.0/0"), ("-6", "::/0")] {
        let routes = namespace.json(&["ip", "-j", family, "route"])?;
        let routes = routes.as_array().context("routes")?;
        for said in result["routes"].as_array().context("routes")? {
            let dst = said["dst"].as_str().context("dst")?;
            if dst.contains(':') != (family == "-6") {
                continue;
            }
            let dst = if dst == everything { "default" } else { dst };
            let there = |route: &&Value| route["dst"] == dst && route["gateway"] == said["gw"];
            assert!(
                routes.iter().any(|route| there(&route)),
                "{dst}: {routes:#?}"
            );
        }
    }
    Ok(())
}

#[test]
fn add_fails_where_the_interface_is_taken() -> Result<()> {
    let ground = Ground::new()?;
    let (namespace, attachment) = container("c1")?;
    namespace.ip(&["link add eth0 type veth peer name other"])?;
    let before = namespace.done(&["ip", "-o", "link"])?;
    let refused = refused(ground.runtime.add(&ground.list, &attachment))?;
    assert_eq!(refused.code, 103, "{refused}");
    assert!(refused.msg.contains("CNI_IFNAME"), "{refused}");
    assert_eq!(namespace.done(&["ip", "-o", "link"])?, before);
    assert!(ground.devices()?.is_empty() && ground.endpoints()?.is_empty());
    // What the engine does after an ADD that failed.
    ground.runtime.del(&ground.list, &attachment)?;
    assert_eq!(namespace.done(&["ip", "-o", "link"])?, before);
    namespace.ip(&["link del eth0"])?;
    ground.runtime.add(&ground.list, &attachment)?;
    Ok(())
}

#[test]
fn a_chain_hands_results_on() -> Result<()> {
    let ground = Ground::new()?;
    let (namespace, attachment) = container("c1")?;
    let tuning = json!({ "type": "tuning", "sysctl": { "net.core.somaxconn": "77" } });
    let plugins = [
        json!({ "type": "loopback" }),
        ground.list.plugins[0].clone(),
        tuning,
    ];
    for version in ["0.4.0", "1.0.0"] {
        let list = List::new("chained", version, &plugins);
        let result = ground.runtime.add(&list, &attachment)?;
        let names: Vec<&Value> = result["interfaces"]
            .as_array()
            .context("interfaces")?
            .iter()
            .map(|interface| &interface["name"])
            .collect();
        assert_eq!((names.len(), names[0]), (3, &json!("lo")), "{result}");
        for ip in result["ips"].as_array().context("ips")? {
            let interface = ip["interface"].as_u64().context("an index")? as usize;
            let address = ip["address"].as_str().context("an address")?;
            let of_loopback = address.starts_with("127.") || address.starts_with("::1");
            assert_eq!(of_loopback, *names[interface] == "lo", "{result}");
        }
        let said = namespace.done(&["sysctl", "-n", "net.core.somaxconn"])?;
        assert_eq!(said.trim(), "77");
        // A plugin after ours may lead some of it elsewhere.
        namespace.ip(&["route add 203.0.113.0/24 via 169.254.1.1 dev eth0"])?;
        ground.runtime.check(&list, &attachment)?;
        ground.runtime.del(&list, &attachment)?;
        assert!(ground.endpoints()?.is_empty() && ground.devices()?.is_empty());
    }
    Ok(())
}

#[test]
fn what_is_asked_for_is_given() -> Result<()> {
    let ground = Ground::new()?;
    let own = ground.ask("GET", "/networks")?;
    let subnet = own[0]["subnets"][0].as_str().context("a subnet")?;
    let base = subnet.strip_suffix(".0/24").context("a subnet of 256")?;
    let by_key = |key: &str| -> Result<Value> {
        let all = ground.ask("GET", "/endpoints")?;
        let mut all = all.as_array().context("a list")?.iter();
        let found = all.find(|one| one["key"] == key);
        found.cloned().with_context(|| format!("no {key}"))
    };

    // As the conventions have it.
    let (namespace, attachment) = container("c1")?;
    let mut attachment = attachment
        .capable("ips", json!([format!("{base}.77/24")]))
        .capable("mac", json!("02:00:00:00:00:77"))
        .capable("aliases", json!(["web"]))
        .capable(
            "dns",
            json!({ "servers": ["192.0.2.53"], "searches": ["a.example"] }),
        )
        .capable(
            "portMappings",
            json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]),
        )
        .capable(
            "bandwidth",
            json!({ "ingressRate": 50_000_000, "ingressBurst": 4_294_967_295u64 }),
        );
    attachment.arguments = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;X=1".into();
    let result = ground.runtime.add(&ground.list, &attachment)?;
    assert!(
        held(&namespace, "eth0")?.contains(&format!("{base}.77")),
        "{result}"
    );
    assert_eq!(result["interfaces"][1]["mac"], "02:00:00:00:00:77");
    let dns = json!({ "nameservers": ["192.0.2.53"], "search": ["a.example"] });
    assert_eq!(result["dns"], dns);
    let shown = by_key("cni/c1/eth0")?;
    assert_eq!(shown["who"]["name"], "web-0");
    assert_eq!(shown["who"]["aliases"], json!(["web"]));
    assert_eq!(
        shown["who"]["labels"]["io.kubernetes.pod.namespace"],
        "shop"
    );
    assert_eq!(shown["publish"][0]["host_port"], 8080);
    assert_eq!(shown["bandwidth"]["ingress"]["rate"], 50_000_000);

    // As podman 4 has it, and containerd.
    let (namespace, attachment) = container("c2")?;
    let mut attachment = attachment
        .capable("aliases", json!({ "weft": ["db", "c2c2"] }))
        .capable(
            "portMappings",
            json!([
                { "HostPort": 8443, "ContainerPort": 443, "Protocol": "tcp", "HostIP": "" },
            ]),
        );
    attachment.arguments =
        format!("IgnoreUnknown=1;K8S_POD_NAME=db;MAC=02:00:00:00:00:78;IP={base}.78");
    ground.runtime.add(&ground.list.at("0.4.0"), &attachment)?;
    assert!(held(&namespace, "eth0")?.contains(&format!("{base}.78")));
    let shown = by_key("cni/c2/eth0")?;
    assert_eq!(shown["mac"], "02:00:00:00:00:78");
    assert_eq!(shown["who"]["aliases"], json!(["db", "c2c2"]));
    assert_eq!(shown["publish"][0]["port"], 443);

    // What somebody has is nobody else's.
    let (_namespace, mut attachment) = container("c3")?;
    attachment.arguments = format!("IP={base}.78");
    let taken = refused(ground.runtime.add(&ground.list, &attachment))?;
    assert_eq!(taken.code, 101, "{taken}");
    attachment.arguments = "IP=192.0.2.1".into();
    let foreign = refused(ground.runtime.add(&ground.list, &attachment))?;
    assert_eq!(foreign.code, 102, "{foreign}");
    Ok(())
}

#[test]
fn many_at_once() -> Result<()> {
    const COUNT: usize = 32;
    let ground = Ground::new()?;
    let names = (0..COUNT).map(|number| format!("m{number}"));
    let namespaces = Namespace::several(names)?;
    let attachment = |namespace: &Namespace| {
        let netns = format!("/proc/{}/ns/net", namespace.pid());
        Attachment::new(namespace.name(), netns)
    };
    let attachments: Vec<Attachment> = namespaces.iter().map(attachment).collect();
    let results: Vec<Value> = thread::scope(|scope| {
        let ground = &ground;
        let add = |attachment| scope.spawn(move || ground.runtime.add(&ground.list, attachment));
        let all: Vec<_> = attachments.iter().map(add).collect();
        let all = all.into_iter().map(|one| one.join().expect("no panic"));
        all.collect::<Result<_>>()
    })?;
    let given: BTreeSet<String> = results.iter().flat_map(addresses).collect();
    assert_eq!(given.len(), 2 * COUNT);
    for (namespace, result) in namespaces.iter().zip(&results) {
        assert_eq!(held(namespace, "eth0")?, addresses(result));
    }
    thread::scope(|scope| {
        let ground = &ground;
        let del = |attachment| scope.spawn(move || ground.runtime.del(&ground.list, attachment));
        let all: Vec<_> = attachments.iter().map(del).collect();
        let mut all = all.into_iter().map(|one| one.join().expect("no panic"));
        all.try_for_each(|one| one)
    })?;
    assert!(ground.endpoints()?.is_empty() && ground.devices()?.is_empty());
    Ok(())
}
