//! weft-agent: reads its options and runs until it is told to stop.

use node_agent::{
    config::Options,
    run::{EVENTS, run},
};
use options::Exit;

fn main() -> Exit {
    options::serve(|options: &Options| &options.common, EVENTS, run)
}
