//! An agent and nothing else: the two words by which a program that holds an agent calls itself. The tests run it.

use futures_util::future::BoxFuture;
use operations::port::{Dialer, NodeError, NodeLink, Trouble};
use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};
use topology::NodeAddr;

/// The tests' servers are scripts, which answer nobody.
struct Nobody;

impl Dialer for Nobody {
    fn dial<'a>(&'a self, address: &'a NodeAddr) -> BoxFuture<'a, Result<Arc<dyn NodeLink>, NodeError>> {
        Box::pin(async { Err(NodeError::new(address.clone(), Trouble::Refused)) })
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["agent", directory] => agent::run(Path::new(directory), Arc::new(Nobody)).map_err(|error| error.to_string()),
        ["exec-server", lock, parent, "--", program, ref arguments @ ..] => {
            Err(agent::exec_server(Path::new(lock), parent, Path::new(program), arguments).to_string())
        }
        _ => Err("the words are: agent DIRECTORY".to_owned()),
    };
    let Err(what) = outcome else { return ExitCode::SUCCESS };
    writeln!(io::stderr(), "error: {what}").ok();
    ExitCode::FAILURE
}
