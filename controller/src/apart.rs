//! A thread for the few tasks that everything waits for. On the runtime of ten thousand
//! sessions each of their steps would wait until all sessions had had their turn.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

pub struct Apart {
    /// None only while this is dropped.
    runtime: Option<Runtime>,
}

impl Apart {
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("keeper")
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    pub fn handle(&self) -> &Handle {
        let runtime = self.runtime.as_ref();
        runtime.expect("it is there until it is dropped").handle()
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // A runtime must not be waited for on another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
