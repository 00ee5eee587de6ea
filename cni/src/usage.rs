//! What `weft-cni --help` prints.

pub const HELP: &str = "\
Attaches containers to Weft's networks. Engines start it; a person installs it.

Usage:
  weft-cni install [OPTIONS]               for containerd, Kubernetes, CRI-O, nerdctl, Podman with CNI
  weft-cni uninstall [OPTIONS]
  weft-cni install --netavark [OPTIONS]    for Podman 4.5 and newer
  weft-cni uninstall --netavark [OPTIONS]

Options:
      --network NAME    Weft's network [default: default]
      --name NAME       What engines call it; the file is 10-NAME.conflist [default: weft]
      --conf-dir DIR    Where engines read configurations [default: /etc/cni/net.d]
      --bin-dir DIR     Where engines find plugins [default: /opt/cni/bin]
      --socket PATH     Where this host's agent listens [default: /run/weft/agent.sock]
      --netavark        Be a driver of `podman network create` in place of a CNI plugin
      --plugin-dir DIR  Where Podman finds drivers [default: /usr/local/libexec/netavark]
  -h, --help            Print this
  -V, --version         Print the version

Examples:
  weft-cni install
  ctr run --cni docker.io/library/busybox:latest c1 ip addr

  weft-cni install --name blue --network blue
  podman --network-backend cni run --network blue busybox ip addr

  weft-cni install --netavark
  podman network create -d weft -o network=blue blue
  podman run --network blue busybox ip addr

In a configuration, beside \"type\": \"weft\":
  \"network\": \"blue\"    Weft's network; without it \"default\"
  \"socket\": \"PATH\"     where the agent listens
  \"told\": true         a container starts only when the fleet knows of it
  \"dns\": {...}         for the container's resolv.conf

Exit codes: 0 done, 1 failed, 2 bad usage";
