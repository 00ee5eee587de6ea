//! Generates the weft.v1 code. `protoc` is installed by `make setup`.

use std::{env, io, path::PathBuf};

const FILES: [&str; 8] = [
    "weft/v1/agent.proto",
    "weft/v1/endpoint.proto",
    "weft/v1/fleet.proto",
    "weft/v1/lease.proto",
    "weft/v1/network.proto",
    "weft/v1/node.proto",
    "weft/v1/status.proto",
    "weft/v1/trust.proto",
];

fn main() -> io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    tonic_prost_build::configure()
        .bytes(".")
        // What is listed has an order.
        .btree_map(".")
        .file_descriptor_set_path(out.join("weft.v1.bin"))
        .compile_protos(&FILES, &["."])?;

    // The server side of the session once more, over messages that are encoded
    // already: one change is encoded once, and its bytes go to every stream.
    let shared = out.join("shared");
    std::fs::create_dir_all(&shared)?;
    tonic_prost_build::configure()
        .build_client(false)
        .codec_path("crate::encoded::SessionCodec")
        .out_dir(shared)
        .extern_path(".weft.v1.ControllerMessage", "crate::encoded::Encoded")
        .extern_path(".weft.v1.AgentMessage", "crate::v1::AgentMessage")
        .compile_protos(&["weft/v1/agent.proto"], &["."])
}
