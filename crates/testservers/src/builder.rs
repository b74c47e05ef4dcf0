//! How a server is to run.

use crate::{
    certificates::{CertificateFiles, Certificates},
    engine::Engine,
    ports::{BUS_OFFSET, free_ports},
    server::{Launch, Server},
};
use std::path::Path;

/// A server that is yet to start. Made by [`Server::builder`].
#[derive(Clone, Debug)]
#[must_use = "starts with .start()"]
pub struct Builder {
    pub(crate) engine: Engine,
    pub(crate) port: Option<u16>,
    pub(crate) password: Option<String>,
    pub(crate) tls: Option<Tls>,
    cluster: bool,
    users: Vec<String>,
    settings: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) certificates: Certificates,
    identity: CertificateFiles,
    auth_clients: bool,
}

impl Builder {
    pub(crate) fn new(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            port: None,
            password: None,
            tls: None,
            cluster: true,
            users: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// The client port, which the caller has reserved; without it, the server reserves one.
    pub const fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Whether it is a cluster node. It is without this call.
    pub const fn cluster(mut self, enabled: bool) -> Self {
        self.cluster = enabled;
        self
    }

    /// The default user's password, also for replicating from other servers.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// A further user: name and ACL rules, such as `alice on >secret ~* &* +@all`.
    pub fn user(mut self, rules: &str) -> Self {
        self.users.push(rules.to_owned());
        self
    }

    /// TLS instead of plain connections, for clients, replication and the cluster bus. Clients need no certificate.
    pub fn tls(mut self, certificates: &Certificates) -> Self {
        let identity = certificates.server();
        self.tls = Some(Tls { certificates: certificates.clone(), identity, auth_clients: false });
        self
    }

    /// After [`tls`](Self::tls): another certificate to show, such as [`Certificates::expired`].
    pub fn tls_certificate(mut self, identity: &CertificateFiles) -> Self {
        if let Some(tls) = &mut self.tls {
            tls.identity = identity.clone();
        }
        self
    }

    /// After [`tls`](Self::tls): whether clients have to show a certificate of the same authority.
    pub fn tls_auth_clients(mut self, required: bool) -> Self {
        if let Some(tls) = &mut self.tls {
            tls.auth_clients = required;
        }
        self
    }

    /// A line of the configuration file, over any default. The value stands as it is, so it may be several words, and
    /// has to be quoted where the server wants that; an empty one is written as `""`.
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Announces another client port to clients and other nodes, and its own bus port. After [`tls`](Self::tls) and
    /// [`port`](Self::port).
    ///
    /// `cluster-announce-port` also decides where replicas connect to. (`cluster-announce-client-port` would not.)
    pub(crate) fn announce(self, port: u16) -> Self {
        let bus_port = (self.port.unwrap_or_default() + BUS_OFFSET).to_string();
        let key = if self.tls.is_some() { "cluster-announce-tls-port" } else { "cluster-announce-port" };
        self.config(key, &port.to_string()).config("cluster-announce-bus-port", &bus_port)
    }

    /// Starts it and waits until it serves. Panics with the log's end where it does not within 20 seconds.
    #[track_caller]
    pub fn start(self) -> Server {
        self.launch().wait_until_ready()
    }

    /// Starts it without waiting.
    #[track_caller]
    pub(crate) fn launch(mut self) -> Launch {
        let reserved = if self.port.is_none() { Some(free_ports(1)) } else { None };
        let port = self.port.or_else(|| reserved.as_deref()?.first().copied()).unwrap_or_default();
        self.port = Some(port);
        Launch::new(self, port, reserved)
    }

    /// The whole configuration file for `port` and the server's own directory.
    pub(crate) fn configuration(&self, port: u16, directory: &Path) -> String {
        let mut lines = vec![
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", quoted(&directory.display().to_string())),
            "logfile server.log".to_owned(),
            format!("cluster-enabled {}", yes_or_no(self.cluster)),
            "cluster-node-timeout 2000".to_owned(),
            "save \"\"".to_owned(),
            "appendonly no".to_owned(),
            "repl-diskless-sync-delay 0".to_owned(),
            "enable-debug-command local".to_owned(),
        ];
        match &self.tls {
            Some(tls) => lines.extend(tls.configuration(port)),
            None => lines.push(format!("port {port}")),
        }
        if let Some(password) = &self.password {
            // Every engine knows this name for it, also where it is called primaryauth by now.
            lines.extend(["requirepass", "masterauth"].map(|key| format!("{key} {}", quoted(password))));
        }
        lines.extend(self.users.iter().map(|rules| format!("user {rules}")));
        lines.extend(self.settings.iter().map(|(key, value)| match value.as_str() {
            "" => format!("{key} \"\""),
            value => format!("{key} {value}"),
        }));
        lines.join("\n") + "\n"
    }
}

impl Tls {
    fn configuration(&self, port: u16) -> Vec<String> {
        let file = |path: &Path| quoted(&path.display().to_string());
        vec![
            "port 0".to_owned(),
            format!("tls-port {port}"),
            "tls-cluster yes".to_owned(),
            "tls-replication yes".to_owned(),
            format!("tls-auth-clients {}", yes_or_no(self.auth_clients)),
            format!("tls-ca-cert-file {}", file(&self.certificates.ca())),
            format!("tls-cert-file {}", file(&self.identity.certificate)),
            format!("tls-key-file {}", file(&self.identity.key)),
        ]
    }
}

const fn yes_or_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// As the servers' configuration files want text that may hold anything.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> Builder {
        Builder::new(&Engine { name: "redis-0.0".into(), server: "server".into(), cli: "cli".into() })
    }

    #[test]
    fn settings_come_last_so_that_they_win() {
        let built = builder().cluster(false).config("cluster-node-timeout", "500").config("save", "");
        let text = built.configuration(7000, Path::new("/a b"));
        assert!(text.starts_with("bind 127.0.0.1\ndir \"/a b\"\n"), "{text}");
        assert!(text.contains("\ncluster-enabled no\n"), "{text}");
        assert!(text.ends_with("\nport 7000\ncluster-node-timeout 500\nsave \"\"\n"), "{text}");
    }

    #[test]
    fn passwords_may_hold_quotes_and_spaces() {
        let text = builder().password(r#"a "b\"#).user("bob on >x +@all").configuration(7000, Path::new("/d"));
        assert!(
            text.ends_with("requirepass \"a \\\"b\\\\\"\nmasterauth \"a \\\"b\\\\\"\nuser bob on >x +@all\n"),
            "{text}"
        );
    }
}
