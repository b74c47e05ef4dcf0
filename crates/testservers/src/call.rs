//! Commands to a server.

use crate::{
    builder::Tls,
    client::{Client, TIMEOUT},
    process::Process,
    server::Server,
};
use std::{
    io::{self, Read, Seek},
    process::Stdio,
};

impl Server {
    /// Sends a command and returns the reply as text: strings and numbers as they are, elements of arrays one a line,
    /// nil as nothing, errors with a leading `-`.
    ///
    /// With TLS, through the engine's own client, which does not verify the server and prints nested arrays its own way.
    /// Panics where no reply comes within 5 seconds.
    #[track_caller]
    pub fn call(&self, command: &[&str]) -> String {
        let reply = self.try_call(command);
        reply.unwrap_or_else(|error| panic!("{} did not answer {command:?}: {error}", self.address()))
    }

    /// As [`call`](Self::call), and panics where the reply is an error.
    #[track_caller]
    pub fn call_ok(&self, command: &[&str]) -> String {
        let reply = self.call(command);
        assert!(!reply.starts_with('-'), "{} answered {command:?} with {reply}", self.address());
        reply
    }

    /// As [`call`](Self::call), for servers that may be unreachable.
    pub fn try_call(&self, command: &[&str]) -> io::Result<String> {
        if let Some(tls) = &self.how.tls {
            return self.call_through_cli(tls, command);
        }
        let mut client = Client::connect(self.port())?;
        if let Some(password) = &self.how.password {
            let reply = client.call(&["AUTH", password])?;
            if reply.starts_with('-') {
                return Ok(reply);
            }
        }
        client.call(command)
    }

    /// A connection of its own to a server without TLS and password, for commands that belong together. Panics where there is none.
    #[track_caller]
    pub fn client(&self) -> Client {
        let client = Client::connect(self.port());
        client.unwrap_or_else(|error| panic!("{} takes no connection: {error}", self.address()))
    }

    fn call_through_cli(&self, tls: &Tls, command: &[&str]) -> io::Result<String> {
        let certificates = &tls.certificates;
        let mut output = tempfile::tempfile()?;
        let (stdout, stderr) = (output.try_clone()?, output.try_clone()?);
        let client = Process::start(&self.how.engine.cli, |cli| {
            // With -e, an error reply is told from a string that looks like one.
            cli.args(["-e", "-h", "127.0.0.1", "-p", &self.port().to_string(), "--tls", "--insecure"]);
            cli.arg("--cert").arg(certificates.client_cert()).arg("--key").arg(certificates.client_key());
            if let Some(password) = &self.how.password {
                cli.args(["--no-auth-warning", "-a", password]);
            }
            cli.args(command).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        });
        let status = client.finish(TIMEOUT);

        output.rewind()?;
        let mut text = String::new();
        output.read_to_string(&mut text)?;
        let text = text.trim_end_matches('\n');
        match text {
            _ if status.success() => Ok(text.to_owned()),
            text if text.starts_with("Could not connect") => Err(io::Error::other(text)),
            text => Ok(format!("-{text}")),
        }
    }
}
