//! An open connection to one server.

use crate::{
    ConnectOptions, Credentials,
    busy::Busy,
    commands::render,
    probe,
    witness::{Testimony, Witness},
};
use futures_util::future::BoxFuture;
use operations::port::{Command, NodeError, NodeLink, TlsTrouble, Trouble};
use redis::{AsyncConnectionConfig, Pipeline, ProtocolVersion, RedisConnectionInfo, Value, aio::MultiplexedConnection};
use secrecy::ExposeSecret;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
};
use topology::{NodeAddr, Reply};

/// A connection that many tasks may use at once.
pub(crate) struct Link {
    address: NodeAddr,
    ip: IpAddr,
    tls: bool,
    read_timeout: Duration,
    /// For the servers that this one is told to talk to.
    credentials: Credentials,
    connection: MultiplexedConnection,
    testimony: Arc<Testimony>,
    busy: Arc<Busy>,
    driver: JoinHandle<()>,
}

impl Link {
    /// Takes a stream and authenticates on it if there is a password.
    pub(crate) async fn open<S>(
        address: NodeAddr,
        ip: IpAddr,
        stream: S,
        tls: bool,
        options: &ConnectOptions,
        busy: Arc<Busy>,
    ) -> Result<Self, Trouble>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
        // The timeout is ours: theirs would cut a batch into commands.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (stream, testimony) = Witness::new(stream);
        let opened = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (connection, driver) = opened.map_err(|_| testimony.trouble())?;
        let link = Self {
            address,
            ip,
            tls,
            read_timeout: options.read_timeout,
            credentials: options.peer_credentials.as_ref().unwrap_or(&options.credentials).clone(),
            connection,
            testimony,
            busy,
            driver: tokio::spawn(driver),
        };
        link.authenticate(options).await?;
        Ok(link)
    }

    async fn authenticate(&self, options: &ConnectOptions) -> Result<(), Trouble> {
        let Some(password) = &options.credentials.password else { return Ok(()) };
        let mut pipeline = redis::pipe();
        pipeline.cmd("AUTH");
        if let Some(user) = &options.credentials.user {
            pipeline.arg(user);
        }
        pipeline.arg(password.expose_secret());
        match self.exchange(&pipeline, Duration::ZERO).await?.pop() {
            // A server without a password takes everybody: the one given may be for the others.
            Some(Reply::Error(line)) if line.contains("without any password configured") => Ok(()),
            Some(Reply::Error(line)) => Err(Trouble::from_refusal(&line)),
            _ => Ok(()),
        }
    }

    async fn exchange(&self, pipeline: &Pipeline, take: Duration) -> Result<Vec<Reply>, Trouble> {
        let mut connection = self.connection.clone();
        let exchange = connection.send_packed_commands(pipeline, 0, pipeline.len());
        let outcome = self.busy.answer(self.read_timeout, take, exchange).await;
        let Ok(values) = outcome.map_err(Trouble::ReadTimedOut)? else {
            return Err(self.why_broken().await);
        };
        self.testimony.answered();
        Ok(values.into_iter().map(reply).collect())
    }

    async fn why_broken(&self) -> Trouble {
        let trouble = self.testimony.trouble();
        let puzzling = matches!(trouble, Trouble::Closed | Trouble::Protocol(_)) && self.testimony.is_unanswered();
        if puzzling && !self.tls && probe::speaks_tls(SocketAddr::new(self.ip, self.address.port)).await {
            return Trouble::Tls(TlsTrouble::ServerSpeaksTls);
        }
        trouble
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl NodeLink for Link {
    fn address(&self) -> &NodeAddr {
        &self.address
    }

    fn ip(&self) -> IpAddr {
        self.ip
    }

    fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<Vec<Reply>, NodeError>> {
        Box::pin(async move {
            let fail = |trouble| NodeError::new(self.address.clone(), trouble);
            let mut pipeline = Pipeline::with_capacity(commands.len());
            for command in &commands {
                let rendered = render(command, &self.credentials);
                pipeline
                    .add_command(rendered.ok_or_else(|| fail(Trouble::Protocol(format!("no words for {command:?}"))))?);
            }
            if pipeline.is_empty() {
                return Ok(Vec::new());
            }
            let replies = self.exchange(&pipeline, Command::take(&commands)).await.map_err(fail)?;
            if replies.len() != commands.len() {
                let count = format!("{} replies to {} commands", replies.len(), commands.len());
                return Err(fail(Trouble::Protocol(count)));
            }
            Ok(replies)
        })
    }
}

fn reply(value: Value) -> Reply {
    match value {
        Value::Nil => Reply::Nil,
        Value::Int(number) => Reply::Integer(number),
        Value::Boolean(flag) => Reply::Integer(flag.into()),
        Value::BulkString(bytes) => Reply::Bytes(bytes),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Reply::Bytes(text.into_bytes()),
        Value::Okay => Reply::Bytes(b"OK".to_vec()),
        Value::Array(values) | Value::Set(values) | Value::Push { data: values, .. } => {
            Reply::List(values.into_iter().map(reply).collect())
        }
        Value::Map(pairs) => {
            Reply::List(pairs.into_iter().flat_map(|(key, value)| [reply(key), reply(value)]).collect())
        }
        Value::Attribute { data, .. } => reply(*data),
        Value::ServerError(error) => Reply::Error(match error.details() {
            Some(details) => format!("{} {details}", error.code()),
            None => error.code().to_owned(),
        }),
        other => Reply::Bytes(format!("{other:?}").into_bytes()),
    }
}
