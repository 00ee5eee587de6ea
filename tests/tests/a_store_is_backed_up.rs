//! A backup holds all that a store keeps, of either kind, whether or not a controller runs;
//! restored, it is what it was; and nothing is overwritten or believed by accident.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, PermissionsExt},
    },
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tests::{
    carried::{Carried, controller, done},
    client::Client,
    controller::Controller,
    etcd::Etcd,
    lab::Place,
    process,
    wait::patiently,
};

#[tokio::test(flavor = "multi_thread")]
async fn while_its_controller_runs_and_while_it_does_not() -> Result<()> {
    let ground = TempDir::new()?;
    let mut running = Controller::embedded(&[])?;
    crowd(&running).await?;
    let (data, file) = (path(&running.data())?, path(&ground.path().join("one"))?);
    let said = done(&Place::Here, &["backup", &file, "--data-dir", &data])?;
    assert!(said.stderr.contains("records of embedded"), "{said:?}");
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    let socket = fs::metadata(running.data().join("backup.sock"))?;
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    let asked = process::said({
        let mut asked = Command::new("setpriv");
        asked.args(["--reuid", "65534", "--clear-groups"]);
        asked.arg(process::weft("weft-controller")?);
        asked.args(["backup", "/dev/null", "--data-dir", &data]);
        asked
    })?;
    assert_eq!(asked.code, 1, "somebody else was given it: {asked:?}");
    assert!(asked.stderr.contains("denied"), "{asked:?}");

    let summed = process::said({
        let mut sum = Command::new("sh");
        sum.args([
            "-c",
            "head -n -1 \"$0\" | sha256sum; tail -n 1 \"$0\"",
            &file,
        ]);
        sum
    })?;
    let (sum, _) = summed.stdout.split_once(' ').context("a checksum")?;
    assert!(
        summed
            .stdout
            .lines()
            .last()
            .context("a line")?
            .contains(sum),
        "{summed:?}"
    );

    running.kill()?;
    let before = Carried::read(Path::new(&file))?;
    assert!(
        before.records.len() == 32 && before.queue.len() == 6,
        "{before:?}"
    );
    assert_eq!(Carried::of(&Place::Here, &["--data-dir", &data])?, before);
    // Neither changed what the controller finds.
    running.start()?;
    assert_eq!(nodes(&running)?, 6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_is_replaced_only_by_force() -> Result<()> {
    let ground = TempDir::new()?;
    let mut here = Controller::embedded(&[])?;
    crowd(&here).await?;
    let (data, file) = (path(&here.data())?, path(&ground.path().join("one"))?);
    done(&Place::Here, &["backup", &file, "--data-dir", &data])?;
    let (then, cluster) = (leases(&here)?, history(&here)?);
    let client = Client::new(here.channel()?);
    client.acquire("later").await?;

    let restore = ["restore", &file, "--data-dir", &data];
    let forced = [&restore[..], &["--force"]].concat();
    refused(&forced, "is in use by another controller")?;
    here.terminate()?;
    here.ended()?;
    refused(&restore, "say --force")?;
    let bytes = fs::read(&file)?;
    let bad = path(&ground.path().join("bad"))?;
    for (what, bytes) in [
        ("cut short", bytes[..bytes.len() / 2].to_vec()),
        ("a line less", without_a_line(&bytes)?),
        ("changed", changed(&bytes)),
    ] {
        fs::write(&bad, bytes)?;
        let said = controller(
            &Place::Here,
            &["restore", &bad, "--data-dir", &data, "--force"],
        )?;
        assert_eq!(said.code, 1, "{what}: {said:?}");
        assert!(said.stderr.contains("checksum"), "{what}: {said:?}");
    }
    fs::write(&bad, "a shopping list\n")?;
    refused(
        &["restore", &bad, "--data-dir", &data, "--force"],
        "no backup of Weft",
    )?;
    here.start()?;
    assert_eq!(nodes(&here)?, 7, "a refusal changes nothing");
    here.kill()?;

    done(&Place::Here, &forced)?;
    here.start()?;
    assert_eq!(leases(&here)?, then);
    // Nobody resumes from revisions of what was replaced.
    assert_ne!(history(&here)?, cluster);
    assert!(here.data().join("store.redb.before").exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_kind_it_is_restored_into_the_other() -> Result<()> {
    let ground = TempDir::new()?;
    let here = Controller::embedded(&[])?;
    crowd(&here).await?;
    let (data, file) = (path(&here.data())?, path(&ground.path().join("one"))?);
    done(&Place::Here, &["backup", &file, "--data-dir", &data])?;
    let kept = Carried::read(Path::new(&file))?;

    let etcd = Etcd::start()?;
    let endpoint = etcd.endpoint();
    let store = ["--store", "etcd", "--etcd-endpoints", &endpoint];
    let restore = [&["restore", &file][..], &store].concat();
    done(&Place::Here, &restore)?;
    assert_eq!(Carried::of(&Place::Here, &store)?, kept);
    assert_eq!(etcd.get("/weft/standing")?, None);
    let there = Controller::etcd(&etcd, &[])?;
    assert_eq!(leases(&there)?, leases(&here)?);
    refused(
        &[&restore[..], &["--force"]].concat(),
        "controllers run on that etcd",
    )?;
    assert_eq!(leases(&there)?, leases(&here)?);
    Ok(())
}

#[test]
fn what_cannot_be_read_is_carried_byte_by_byte() -> Result<()> {
    let ground = TempDir::new()?;
    let etcd = Etcd::start()?;
    let odd: [(&[u8], &[u8]); 6] = [
        (b"/weft/token/9f", b"{\"v\":2,  \"new\": [1]}"),
        (b"/weft/ca", b"\x00\xff\xfe sealed \n"),
        (b"/weft/odd\xff", b"null"),
        (b"/weft/lines", b"{\n\"v\":1}\r\n"),
        (b"/weft/empty", b""),
        (b"/weft/free/default/4/garbage", b" 12 "),
    ];
    for (key, value) in odd {
        put(&etcd, key, value)?;
    }
    put(&etcd, b"/wefted/other", b"not ours")?;
    let file = path(&ground.path().join("one"))?;
    let endpoint = etcd.endpoint();
    let store = ["--store", "etcd", "--etcd-endpoints", &endpoint];
    done(&Place::Here, &[&["backup", &file][..], &store].concat())?;

    let other = Etcd::start()?;
    let there = other.endpoint();
    let store = [
        "--store",
        "etcd",
        "--etcd-endpoints",
        &there,
        "--etcd-prefix",
        "/copy",
    ];
    done(&Place::Here, &[&["restore", &file][..], &store].concat())?;
    for (key, value) in odd {
        let key = [b"/copy", &key[b"/weft".len()..]].concat();
        assert_eq!(get(&other, &key)?, value, "{}", key.escape_ascii());
    }
    let output = raw(&other, &["get", "", "--from-key", "--keys-only"])?;
    let keys = output
        .split(|byte| *byte == b'\n')
        .filter(|key| !key.is_empty());
    assert_eq!(keys.count(), odd.len(), "{}", output.escape_ascii());

    let data = path(&ground.path().join("data"))?;
    refused(
        &["restore", &file, "--data-dir", &data],
        "odd\\xff is no text",
    )
}

/// Six nodes stay, and six subnets wait, in an order of their own.
async fn crowd(controller: &Controller) -> Result<()> {
    let client = Client::new(controller.channel()?);
    let mut going = Vec::new();
    for number in 0..12 {
        let node = format!("node-{number}");
        let lease = client.acquire(&node).await?;
        if number % 2 == 0 {
            going.push((node, lease.life));
        }
    }
    going.reverse();
    going.swap(1, 4);
    for (node, life) in going {
        client.release(&node, &life).await?;
    }
    Ok(())
}

fn leases(controller: &Controller) -> Result<Vec<(Value, Value, Value)>> {
    patiently("it lists its leases", || {
        let leases = controller.weft_json(&["lease", "list"])?;
        let leases = leases.as_array().context("a list")?.iter();
        let told = leases.map(|lease| {
            let of = |name: &str| lease[name].clone();
            (of("node"), of("life"), of("subnets"))
        });
        Ok(told.collect())
    })
}

fn nodes(controller: &Controller) -> Result<usize> {
    Ok(leases(controller)?.len())
}

fn history(controller: &Controller) -> Result<Value> {
    Ok(controller.weft_json(&["status"])?["cluster"].clone())
}

fn refused(arguments: &[&str], why: &str) -> Result<()> {
    let said = controller(&Place::Here, arguments)?;
    ensure!(
        said.code == 1 && said.stderr.contains(why),
        "{arguments:?}: {said:?}"
    );
    Ok(())
}

fn without_a_line(bytes: &[u8]) -> Result<Vec<u8>> {
    let text = str::from_utf8(bytes)?;
    let lines = text.lines().enumerate().filter(|(number, _)| *number != 3);
    Ok(lines
        .flat_map(|(_, line)| [line, "\n"])
        .collect::<String>()
        .into_bytes())
}

fn changed(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    text.replacen("node-1\"", "node-2\"", 1).into_bytes()
}

fn put(etcd: &Etcd, key: &[u8], value: &[u8]) -> Result<()> {
    let (key, value) = (OsStr::from_bytes(key), OsStr::from_bytes(value));
    if value.as_bytes().contains(&0) {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), value.as_bytes())?;
        let put = format!(
            "etcdctl --endpoints={} put \"$0\" < \"$1\"",
            etcd.endpoint()
        );
        let said = process::said({
            let mut shell = Command::new("sh");
            shell
                .env("ETCDCTL_API", "3")
                .arg("-c")
                .arg(put)
                .arg(key)
                .arg(file.path());
            shell
        })?;
        ensure!(said.code == 0, "{said:?}");
        return Ok(());
    }
    etcd.etcdctl([OsStr::new("put"), OsStr::new("--"), key, value])?;
    Ok(())
}

fn get(etcd: &Etcd, key: &[u8]) -> Result<Vec<u8>> {
    let get = ["get", "--print-value-only", "--"].map(OsStr::new);
    let value = raw(etcd, &[&get[..], &[OsStr::from_bytes(key)]].concat())?;
    let value = value.strip_suffix(b"\n").context("a line's end")?;
    Ok(value.to_vec())
}

/// What etcdctl prints, which need not be text.
fn raw(etcd: &Etcd, arguments: &[impl AsRef<OsStr>]) -> Result<Vec<u8>> {
    let output = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .arg(format!("--endpoints={}", etcd.endpoint()))
        .args(arguments)
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(output.stdout)
}

fn path(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path that is text")?.to_owned())
}
