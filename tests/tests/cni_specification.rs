//! What the CNI specification (1.1.0 and those before) says a plugin MUST do, shown on
//! the installed plugin, a real agent and a real kernel.
//!
//! | the plugin must | shown by |
//! |---|---|
//! | answer ADD with a result in the version of the request | `add_answers_in_the_version_it_was_asked_in` |
//! | leave out what that version does not know | `add_answers_in_the_version_it_was_asked_in` |
//! | make an interface of the name asked for, with what the result says | `what_add_says_is_in_the_container` |
//! | fail ADD where the container has an interface of that name | `add_fails_where_the_interface_is_taken` |
//! | hand on `prevResult`, with its own part added | `a_chain_hands_results_on` |
//! | heed `CNI_ARGS` and `runtimeConfig` it is capable of, and pass over unknown keys | `what_is_asked_for_is_given` |
//! | succeed at DEL again, and when nothing is there | `del_succeeds_whatever_is_left` |
//! | succeed at DEL without `CNI_NETNS` and without `prevResult` | `del_succeeds_whatever_is_left` |
//! | free with DEL all that ADD took | `del_succeeds_whatever_is_left` |
//! | pass CHECK right after ADD | `check_sees_what_is_wrong` |
//! | compare with `prevResult` in CHECK, and want one | `check_sees_what_is_wrong` |
//! | fail CHECK when an interface, an address or a daemon is missing | `check_sees_what_is_wrong` |
//! | let later plugins change routes | `a_chain_hands_results_on` |
//! | remove with GC what is not among the valid attachments, and nothing else | `gc_removes_what_is_not_valid` |
//! | go on with GC after an error, and tell of it | `gc_goes_on_after_an_error` |
//! | exit with 0 on STATUS if ADD would work, and else with 50 or 51 | `status_is_whether_add_would_work` |
//! | answer VERSION with all versions it speaks | `version_names_all` |
//! | refuse a version it does not speak with 1, and a verb that the version does not have | `what_cannot_be_is_refused_with_its_code` |
//! | name the key and value of an unsupported field (2), an invalid variable (4) | `what_cannot_be_is_refused_with_its_code` |
//! | print an error of `code` and `msg` on standard output and exit with another code than 0 | `what_cannot_be_is_refused_with_its_code` |
//! | answer in time, whatever the daemon does | `status_is_whether_add_would_work` |
//! | say 11 where trying again may help | `without_an_agent_it_is_try_again_later` |
//! | be asked for many containers at once | `many_at_once` |

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    cni::{Attachment, List, REFERENCE, Refused, Runtime, addresses, refused},
    lab::{Agent, Lab, Namespace, Place},
    process,
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";
const VERSIONS: [&str; 4] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// A host with an agent, and the plugin installed beside the reference ones.
struct Ground {
    lab: Lab,
    agent: Agent,
    runtime: Runtime,
    list: List,
    directory: TempDir,
}

impl Ground {
    fn new() -> Result<Self> {
        let mut lab = Lab::new(1)?;
        lab.start_controller(&["--default-network", POOLS])?;
        let agent = lab.agent(1, &[])?;
        let directory = tempfile::Builder::new().prefix("weft-cni-").tempdir()?;
        let place = Place::In((**lab.host(1)).clone());
        let [conf, bin, cache] = ["net.d", "bin", "cache"].map(|name| directory.path().join(name));
        let mut install = place.command(process::weft("weft-cni")?);
        install.arg("install").arg("--conf-dir").arg(&conf);
        install.arg("--bin-dir").arg(&bin);
        install.arg("--socket").arg(agent.socket());
        let said = process::said(install)?;
        ensure!(said.code == 0, "{said:?}");
        let list = List::read(&conf.join("10-weft.conflist"), &VERSIONS)?;
        let runtime = Runtime::new(place, &[&bin, REFERENCE.as_ref()], &cache);
        Ok(Self {
            lab,
            agent,
            runtime,
            list,
            directory,
        })
    }

    fn say(&self, variables: &[(&str, &str)], stdin: &Value) -> Result<Refused> {
        let said = self.runtime.say("weft", variables, &stdin.to_string())?;
        ensure!(said.code == 1, "{said:?}");
        Refused::read("weft", "said", &said)
    }

    /// What the agent has, by their keys.
    fn endpoints(&self) -> Result<BTreeSet<String>> {
        let all: Value = self.ask("GET", "/endpoints")?;
        let all = all.as_array().context("a list")?;
        let keys = all.iter().filter_map(|one| one["key"].as_str());
        Ok(keys.map(str::to_owned).collect())
    }

    fn ask(&self, method: &str, path: &str) -> Result<Value> {
        let within = Duration::from_secs(10);
        let client = socket::Client::new(self.agent.socket(), within);
        Ok(client.ask(method, path, None::<&()>)?)
    }

    /// The devices of the host's ends.
    fn devices(&self) -> Result<Vec<String>> {
        let links = self.lab.host(1).json(&["ip", "-j", "link"])?;
        let names = links.as_array().into_iter().flatten();
        let names = names.filter_map(|link| link["ifname"].as_str());
        let ours = names.filter(|name| name.starts_with("wv"));
        Ok(ours.map(str::to_owned).collect())
    }
}

fn container(name: &str) -> Result<(Namespace, Attachment)> {
    let namespace = Namespace::new(name.into())?;
    let netns = format!("/proc/{}/ns/net", namespace.pid());
    Ok((namespace, Attachment::new(name, netns)))
}

/// The addresses of an interface, but for those that the kernel makes itself.
fn held(namespace: &Namespace, interface: &str) -> Result<BTreeSet<String>> {
    let links = namespace.json(&["ip", "-j", "addr", "show", "dev", interface])?;
    let all = links[0]["addr_info"].as_array().context("addresses")?;
    let all = all.iter().filter(|info| info["scope"] == "global");
    let all = all.filter_map(|info| info["local"].as_str());
    Ok(all.map(str::to_owned).collect())
}

#[test]
fn version_names_all() -> Result<()> {
    let ground = Ground::new()?;
    for version in ["0.3.1", "1.1.0", "0.1.0", "9.0.0"] {
        let said = ground.runtime.versions("weft", version)?;
        let expected = json!({ "cniVersion": version, "supportedVersions": VERSIONS });
        assert_eq!(said, expected);
    }
    Ok(())
}

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
fn del_succeeds_whatever_is_left() -> Result<()> {
    let ground = Ground::new()?;
    let (namespace, attachment) = container("c1")?;
    // Nothing was ever there.
    ground.runtime.del(&ground.list, &attachment)?;
    let first = ground.runtime.add(&ground.list, &attachment)?;
    // Again, as when an engine died before it had heard: the same.
    assert_eq!(ground.runtime.add(&ground.list, &attachment)?, first);
    ground.runtime.del(&ground.list, &attachment)?;
    let links = namespace.json(&["ip", "-j", "link"])?;
    assert_eq!(links.as_array().map(Vec::len), Some(1), "{links}");
    assert!(ground.endpoints()?.is_empty() && ground.devices()?.is_empty());
    ground.runtime.del(&ground.list, &attachment)?;

    // Somebody took the interface; nobody kept the result.
    ground.runtime.add(&ground.list, &attachment)?;
    namespace.ip(&["link del eth0"])?;
    fs::remove_dir_all(ground.directory.path().join("cache"))?;
    ground.runtime.del(&ground.list, &attachment)?;
    assert!(ground.endpoints()?.is_empty());

    // The namespace is gone, and the engine says so.
    ground.runtime.add(&ground.list, &attachment)?;
    drop(namespace);
    let gone = Attachment {
        netns: String::new(),
        ..attachment.clone()
    };
    ground.runtime.del(&ground.list, &gone)?;
    assert!(ground.endpoints()?.is_empty() && ground.devices()?.is_empty());
    ground.runtime.del(&ground.list, &attachment)?;
    Ok(())
}

#[test]
fn check_sees_what_is_wrong() -> Result<()> {
    let mut ground = Ground::new()?;
    let (namespace, attachment) = container("c1")?;
    let result = ground.runtime.add(&ground.list, &attachment)?;
    ground.runtime.check(&ground.list, &attachment)?;
    ground
        .runtime
        .check(&ground.list.at("0.4.0"), &attachment)?;

    let variables = [
        ("CNI_COMMAND", "CHECK"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_NETNS", attachment.netns.as_str()),
    ];
    let mut conf = ground.list.plugins[0].clone();
    conf["cniVersion"] = json!("1.0.0");
    conf["name"] = json!("weft");
    let said = ground.say(&variables, &conf)?;
    assert!(
        said.code == 7 && said.details.contains("prevResult"),
        "{said}"
    );
    for (pointer, value) in [
        ("/interfaces/1/mac", json!("02:00:00:00:00:01")),
        ("/interfaces/1/name", json!("eth9")),
        ("/ips/0/address", json!("10.40.9.9/32")),
    ] {
        let mut other = result.clone();
        *other.pointer_mut(pointer).context("it is there")? = value;
        conf["prevResult"] = other;
        let said = ground.say(&variables, &conf)?;
        assert!(
            said.code == 100 && said.details.contains("prevResult"),
            "{said}"
        );
    }

    let address = addresses(&result).into_iter().next().context("one")?;
    let length = if address.contains(':') { 128 } else { 32 };
    namespace.ip(&[format!("addr del {address}/{length} dev eth0")])?;
    let said = refused(ground.runtime.check(&ground.list, &attachment))?;
    assert!(
        said.code == 100 && said.details.contains(&address),
        "{said}"
    );
    namespace.ip(&["link set eth0 down", "link set eth0 name other"])?;
    let said = refused(ground.runtime.check(&ground.list, &attachment))?;
    assert!(said.code == 100 && said.details.contains("eth0"), "{said}");
    // The host sees its own end go, and makes the link anew.
    namespace.ip(&["link del other"])?;
    patiently("the link is there again", || {
        ground.runtime.check(&ground.list, &attachment)
    })?;

    ground.agent.kill()?;
    let said = refused(ground.runtime.check(&ground.list, &attachment))?;
    assert_eq!(said.code, 11, "{said}");
    ground.agent.start()?;
    let variables = variables.map(|(name, value)| match name {
        "CNI_CONTAINERID" => (name, "never"),
        _ => (name, value),
    });
    let said = ground.say(&variables, &conf)?;
    assert_eq!(said.code, 3, "{said}");
    Ok(())
}

#[test]
fn gc_removes_what_is_not_valid() -> Result<()> {
    let ground = Ground::new()?;
    let (runtime, list) = (&ground.runtime, &ground.list);
    let all: Vec<(Namespace, Attachment)> = (1..=4)
        .map(|number| container(&format!("c{number}")))
        .collect::<Result<_>>()?;
    for (_, attachment) in &all[..3] {
        runtime.add(list, attachment)?;
    }
    // By another configuration of the same network: not this one's to judge.
    let other = List::new("other", "1.1.0", &list.plugins);
    runtime.add(&other, &all[3].1)?;
    runtime.gc(list, &[&all[0].1, &all[2].1])?;
    let left = ["cni/c1/eth0", "cni/c3/eth0", "cni/c4/eth0"];
    assert_eq!(ground.endpoints()?, left.map(str::to_owned).into());
    assert!(all[1].0.run(&["ip", "link", "show", "dev", "eth0"])?.code != 0);
    runtime.check(list, &all[0].1)?;
    runtime.gc(list, &[])?;
    assert_eq!(ground.endpoints()?, ["cni/c4/eth0".to_owned()].into());
    let said = refused(runtime.gc(&list.at("1.0.0"), &[]))?;
    assert_eq!(said.code, 1, "{said}");
    Ok(())
}

#[test]
fn gc_goes_on_after_an_error() -> Result<()> {
    let mut ground = Ground::new()?;
    let (_namespace, attachment) = container("c1")?;
    ground.runtime.add(&ground.list, &attachment)?;
    ground.agent.kill()?;
    let said = refused(ground.runtime.gc(&ground.list, &[]))?;
    assert_eq!(said.code, 11, "{said}");
    ground.agent.start()?;
    ground.runtime.gc(&ground.list, &[])?;
    assert!(ground.endpoints()?.is_empty());
    // Not said what to keep is not the same as nothing to keep.
    ground.runtime.add(&ground.list, &attachment)?;
    let mut conf = ground.list.plugins[0].clone();
    conf["cniVersion"] = json!("1.1.0");
    conf["name"] = json!("weft");
    let said = ground.say(&[("CNI_COMMAND", "GC")], &conf)?;
    assert_eq!(said.code, 7, "{said}");
    assert_eq!(ground.endpoints()?.len(), 1);
    Ok(())
}

#[test]
fn status_is_whether_add_would_work() -> Result<()> {
    let mut ground = Ground::new()?;
    ground.runtime.status(&ground.list)?;
    let mut nowhere = ground.list.clone();
    nowhere.plugins[0]["network"] = json!("nowhere");
    let said = refused(ground.runtime.status(&nowhere))?;
    assert!(said.code == 50 && said.msg.contains("nowhere"), "{said}");
    let (_namespace, attachment) = container("c1")?;
    assert!(ground.runtime.add(&nowhere, &attachment).is_err());

    // Containers come without a controller, too.
    ground.lab.controllers[0].kill()?;
    ground.runtime.status(&ground.list)?;
    ground.runtime.add(&ground.list, &attachment)?;

    // One that is frozen is not waited for without end.
    ground.agent.pause()?;
    let began = Instant::now();
    let said = refused(ground.runtime.status(&ground.list))?;
    assert!(said.code == 50 && said.msg.contains("busy"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(20));
    ground.agent.resume()?;

    ground.agent.kill()?;
    let said = refused(ground.runtime.status(&ground.list))?;
    assert!(
        said.code == 50 && said.msg.contains("not running"),
        "{said}"
    );
    ground.agent.launch()?;
    patiently("the agent is back, still without a controller", || {
        ground.runtime.status(&ground.list)
    })?;
    let said = refused(ground.runtime.status(&ground.list.at("1.0.0")))?;
    assert_eq!(said.code, 1, "{said}");
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_with_its_code() -> Result<()> {
    let ground = Ground::new()?;
    let (_namespace, attachment) = container("c1")?;
    let good = |name: &str| match name {
        "CNI_COMMAND" => "ADD",
        "CNI_CONTAINERID" => "c1",
        "CNI_IFNAME" => "eth0",
        _ => attachment.netns.as_str(),
    };
    let names = ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"];
    let with = |name: &str, value: &'static str| {
        names.map(|one| (one, if one == name { value } else { good(one) }))
    };
    let mut conf = ground.list.plugins[0].clone();
    conf["cniVersion"] = json!("0.4.0");
    conf["name"] = json!("weft");
    for (name, value) in [
        ("CNI_COMMAND", "ADDD"),
        ("CNI_CONTAINERID", ""),
        ("CNI_CONTAINERID", "-a"),
        ("CNI_IFNAME", "a/b"),
        ("CNI_NETNS", ""),
        ("CNI_NETNS", "/nowhere"),
    ] {
        let said = ground.say(&with(name, value), &conf)?;
        assert_eq!(said.code, 4, "{said}");
        assert!(format!("{said}").contains(name), "{said}");
        assert_eq!(said.version, "0.4.0");
    }
    let own = ground.say(&with("CNI_NETNS", "/proc/self/ns/net"), &conf);
    assert!(
        own.is_ok(),
        "the host's own namespace is no container's: {own:?}"
    );

    let variables = with("", "");
    let changed = |key: &str, value: Value| {
        let mut conf = conf.clone();
        conf[key] = value;
        conf
    };
    for (key, value, code, named) in [
        ("cniVersion", json!("2.0.0"), 1, "2.0.0"),
        (
            "ipam",
            json!({ "type": "host-local" }),
            2,
            "ipam is not used: {\"type\":\"host-local\"}",
        ),
        ("name", Value::Null, 7, "name"),
        ("network", json!("No Name"), 7, "network"),
        (
            "runtimeConfig",
            json!({ "mac": "x" }),
            7,
            "runtimeConfig.mac",
        ),
        ("network", json!("nowhere"), 7, "nowhere"),
    ] {
        let said = ground.say(&variables, &changed(key, value))?;
        assert!(said.code == code && said.details.contains(named), "{said}");
    }
    for garbage in ["", "{", "[]", "null", "\0"] {
        let said = ground.runtime.say("weft", &variables, garbage)?;
        let said = Refused::read("weft", "ADD", &said)?;
        assert_eq!(said.code, 6, "{garbage}: {said}");
    }
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20));
    let said = ground.runtime.say("weft", &variables, &long)?;
    assert_eq!(Refused::read("weft", "ADD", &said)?.code, 6);
    assert!(ground.endpoints()?.is_empty() && ground.devices()?.is_empty());
    Ok(())
}

#[test]
fn without_an_agent_it_is_try_again_later() -> Result<()> {
    let mut ground = Ground::new()?;
    let (namespace, attachment) = container("c1")?;
    let (_other, second) = container("c2")?;
    ground.runtime.add(&ground.list, &attachment)?;
    ground.agent.kill()?;
    let said = refused(ground.runtime.add(&ground.list, &second))?;
    assert!(
        said.code == 11 && said.msg.contains("not running"),
        "{said}"
    );
    // The container runs on: that it is gone cannot be promised.
    let said = refused(ground.runtime.del(&ground.list, &attachment))?;
    assert_eq!(said.code, 11, "{said}");
    // It does not: nothing of it is in the way, and the agent lets go of the rest.
    drop(namespace);
    ground.runtime.del(&ground.list, &attachment)?;
    ground.agent.start()?;
    patiently("the agent lets go of what has vanished", || {
        let left = ground.endpoints()?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })?;
    ground.runtime.add(&ground.list, &second)?;
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

/// Every test that the table names is in this file.
#[test]
fn the_table_names_tests_that_are_there() {
    let source = include_str!("cni_specification.rs");
    let rows = source.lines().filter(|line| line.starts_with("//! | "));
    let named: BTreeSet<&str> = rows.filter_map(|row| row.rsplit('`').nth(1)).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(source.contains(&format!("fn {name}()")), "{name}");
    }
}

#[test]
fn what_is_installed_is_whole_and_goes_again() -> Result<()> {
    let directory = tempfile::Builder::new().prefix("weft-cni-").tempdir()?;
    let [conf, bin] = ["net.d", "bin"].map(|name| directory.path().join(name));
    let run = |words: &[&str]| {
        let mut command = Place::Here.command(process::weft("weft-cni")?);
        command.args(words).arg("--conf-dir").arg(&conf);
        command.arg("--bin-dir").arg(&bin);
        process::said(command)
    };
    fs::create_dir_all(&conf)?;
    fs::write(conf.join("05-other.conflist"), "{}")?;
    let said = run(&["install"])?;
    assert!(
        said.code == 0 && said.stdout.contains("05-other"),
        "{said:?}"
    );
    run(&["install", "--name", "blue", "--network", "blue"])?;
    let names = |of: &PathBuf| -> Result<Vec<String>> {
        let entries = fs::read_dir(of)?.map(|entry| Ok(entry?.file_name()));
        let names: Result<Vec<_>> = entries.collect();
        let mut names: Vec<String> = names?
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        Ok(names)
    };
    let confs = ["05-other.conflist", "10-blue.conflist", "10-weft.conflist"];
    assert_eq!(names(&conf)?, confs);
    assert_eq!(names(&bin)?, ["weft"]);
    let shown = include_str!("../../examples/cni/10-weft.conflist");
    assert_eq!(fs::read_to_string(conf.join("10-weft.conflist"))?, shown);
    let blue = List::read(&conf.join("10-blue.conflist"), &[])?;
    assert_eq!(blue.plugins[0]["network"], "blue");
    // The program stays for as long as one configuration needs it.
    let said = run(&["uninstall"])?;
    assert!(
        said.stdout.contains("10-blue.conflist needs it"),
        "{said:?}"
    );
    assert_eq!(names(&bin)?, ["weft"]);
    run(&["uninstall", "--name", "blue"])?;
    assert_eq!(names(&conf)?, ["05-other.conflist"]);
    assert_eq!(names(&bin)?, [""; 0]);
    let said = run(&["uninstall"])?;
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (0, "nothing was installed\n")
    );
    let said = run(&["install", "--bla"])?;
    assert!(said.code == 2 && said.stderr.contains("--bla"), "{said:?}");
    Ok(())
}
