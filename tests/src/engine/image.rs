//! The image of all containers: Debian's static busybox, and nothing from elsewhere.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{lab::Host, process};

const BUSYBOX: &str = "/bin/busybox";
const PASSWD: &str = "root:x:0:0::/:/bin/sh\n";
/// What systemd-nspawn takes for the root of a system.
const OS_RELEASE: &str = "ID=weft-test\n";

pub struct Image {
    directory: PathBuf,
}

impl Image {
    /// Each host has it on its disk.
    pub fn of(host: &Host) -> Result<Self> {
        let directory = host.directory().join("image");
        let image = Self { directory };
        if !image.directory.exists() {
            fs::create_dir_all(&image.directory)?;
            image.make().context("make the image")?;
        }
        Ok(image)
    }

    /// By which engines know it.
    pub fn name() -> &'static str {
        "localhost/box:1"
    }

    /// Its files, packed.
    pub fn layer(&self) -> String {
        self.path("layer.tar")
    }

    /// With a manifest, as `docker save` writes it.
    pub fn archive(&self) -> String {
        self.path("archive.tar")
    }

    /// Its files once more, as a directory of this name.
    pub fn unpacked(&self, name: &str) -> Result<PathBuf> {
        let to = self.directory.join(name);
        fs::create_dir_all(&to)?;
        run("tar", &["-C", &to.to_string_lossy(), "-xf", &self.layer()])?;
        Ok(to)
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).to_string_lossy().into_owned()
    }

    fn make(&self) -> Result<()> {
        let root = self.directory.join("root");
        for place in ["bin", "dev", "etc", "proc", "sys", "tmp", "usr", "www"] {
            fs::create_dir_all(root.join(place))?;
        }
        let copied = fs::copy(BUSYBOX, root.join("bin/busybox"));
        copied.map_err(|error| process::missing(BUSYBOX, error))?;
        for applet in run(BUSYBOX, &["--list"])?.lines() {
            if applet != "busybox" {
                symlink("busybox", root.join("bin").join(applet))?;
            }
        }
        fs::write(root.join("etc/passwd"), PASSWD)?;
        fs::write(root.join("etc/os-release"), OS_RELEASE)?;
        pack(&root, "layer.tar", &["."])?;
        fs::rename(root.join("layer.tar"), self.layer())?;
        fs::remove_dir_all(&root)?;

        let sum = run("sha256sum", &[&self.layer()])?;
        let sum = sum.split_whitespace().next().context("a sum")?;
        let config = serde_json::json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {
                "Entrypoint": ["/bin/sleep", "2147483647"],
                "Env": ["PATH=/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{sum}")]},
        });
        let manifest = serde_json::json!([{
            "Config": "config.json",
            "RepoTags": [Self::name()],
            "Layers": ["layer.tar"],
        }]);
        fs::write(self.path("config.json"), config.to_string())?;
        fs::write(self.path("manifest.json"), manifest.to_string())?;
        let files = ["manifest.json", "config.json", "layer.tar"];
        pack(&self.directory, "archive.tar", &files)
    }
}

fn pack(directory: &Path, name: &str, files: &[&str]) -> Result<()> {
    let to = directory.join(name);
    let (directory, to) = (directory.to_string_lossy(), to.to_string_lossy());
    let exclude = format!("--exclude=./{name}");
    let tar = ["-C", &directory, &exclude, "-cf", &to];
    run("tar", &[&tar[..], files].concat()).map(drop)
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    let said = process::said(command)?;
    ensure!(said.code == 0, "{program} {arguments:?}: {said:?}");
    Ok(said.stdout)
}
