//! The program `tribune`: what was typed becomes what is meant, once, in one of two grammars.

mod connection;
mod failure;
mod importing;
mod moving;
mod native;
mod printer;
mod prompt;
mod reference;
mod replies;
mod saving;
mod unfinished;

use failure::{ExitStatus, Failure};
use node::{ConnectOptions, Connector};
use printer::Printer;
use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

fn main() -> ExitCode {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let name = words.next().unwrap_or_default();
    let words: Vec<String> = words.collect();
    let name = Path::new(&name).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut printer = Printer::for_this_process();
    let status = if let Some(status) = hidden(&words, &mut printer) {
        status
    } else if reference::is_meant(&name, &words) {
        reference::run(&name, &words, &mut printer)
    } else {
        native::run(&words, &mut printer)
    };
    ExitCode::from(status as u8)
}

/// The words by which the program calls itself: the processes of local mode.
fn hidden(words: &[String], printer: &mut Printer) -> Option<ExitStatus> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["agent", directory] => run_agent(Path::new(directory)),
        ["local-supervisor", directory] => native::local::supervise(Path::new(directory)),
        ["exec-server", lock, parent, "--", program, ref arguments @ ..] => {
            // Comes back only when the server could not be started.
            Err(agent::exec_server(Path::new(lock), parent, Path::new(program), arguments).to_string())
        }
        _ => return None,
    };
    Some(match outcome {
        Ok(()) => ExitStatus::Done,
        Err(what) => printer.failure(&Failure::new(what)),
    })
}

/// How long the own server, beside its agent, may take to take a connection and to answer.
const BESIDE: Duration = Duration::from_secs(2);

/// The agent with the way to its server: of this machine, without password and TLS.
fn run_agent(directory: &Path) -> Result<(), String> {
    let options = ConnectOptions { connect_timeout: BESIDE, read_timeout: BESIDE, ..ConnectOptions::default() };
    let connector = Connector::new(options).map_err(|error| error.to_string())?;
    agent::run(directory, Arc::new(connector)).map_err(|error| error.to_string())
}

/// A runtime on this thread alone: it starts fast, and one thread is enough for a few hundred connections.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(format!("this process cannot start its event loop: {error}")))?;
    let outcome = runtime.block_on(future);
    // A name that is still being resolved must not keep the user waiting.
    runtime.shutdown_background();
    outcome
}
